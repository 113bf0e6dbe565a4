"""Which method tells fat from muscle best in the true mask.

The criterion stands in docs/explanation/definition-of-imat.md.

python -m models.training.fat_comparison --data DIR [--network FOLDER] [--volumes 100] [--seed 0]
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from models.training.dose import DOSES, Answer, Response, add_fat, answer
from models.training.fat_method import METHODS
from models.training.real import TUM_CONTRASTS, load_tum01
from models.training.tissues import Bools, Codes, Floats
from models.training.volume_images import CONTRASTS
from models.training.volumes import axial_grid, draw_volume
from service.core.volume import Volume
from service.inference.card import read_card
from service.inference.segmenter import OnnxSegmenter

Method = Callable[[Floats, Codes, tuple[float, float], str], Bools]
#: Slice distance of the volunteer (README of the data).
TUM_SLICES_MM: Final = 4.0
_REAL: Final = tuple(c for c in CONTRASTS if c in TUM_CONTRASTS)


def network_fat(folder: Path) -> Method | None:
    """The network's own fat output, or None where its card has no channel for it."""
    card = read_card(folder)
    if "fat" not in card.output.channels:
        return None
    segmenter = OnnxSegmenter(card)

    def find(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
        del contrast
        grid = axial_grid(image.shape, (TUM_SLICES_MM, *spacing_mm))
        fat = getattr(segmenter.segment(Volume(values=image, grid=grid)), "fat", None)
        if fat is None:
            raise SystemExit("The card has a channel for fat, but the segmenter does not give it.")
        return np.asarray((fat > 0.5) & (side > 0), dtype=bool)

    return find


def synthetic(methods: dict[str, Method], seeds: range) -> dict[tuple[str, str], list[Answer]]:
    """Answers by method and contrast on synthetic stacks."""
    answers: dict[tuple[str, str], list[Answer]] = {(m, c): [] for m in methods for c in CONTRASTS}
    for seed in seeds:
        made = draw_volume(seed)
        for name, method in methods.items():
            found = method(made.image, made.side, made.spacing_mm[1:], made.contrast)
            answers[name, made.contrast].append(answer(found, made.imat, made.side, made.side))
    return answers


def volunteer(methods: dict[str, Method], data: Path) -> dict[tuple[str, str], list[Answer]]:
    """Answers by method and contrast on the volunteer with every dose, the smallest first."""
    water, fat, side, pixel_mm = load_tum01(data / "tum01")
    answers: dict[tuple[str, str], list[Answer]] = {(m, c): [] for m in methods for c in _REAL}
    for share in DOSES:
        dosed = add_fat(water, fat, side, (TUM_SLICES_MM, *pixel_mm), share, seed=1)
        for contrast in _REAL:
            of_water, of_fat = TUM_CONTRASTS[contrast]
            image = np.abs(of_water * dosed.water + of_fat * dosed.fat).astype(np.float32)
            for name, method in methods.items():
                found = method(image, side, pixel_mm, contrast)
                answers[name, contrast].append(answer(found, dosed.imat, side, side))
    return answers


def lines(
    drawn: dict[tuple[str, str], list[Answer]], real: dict[tuple[str, str], list[Answer]]
) -> Iterator[str]:
    """The comparison, the best method last said."""
    totals: dict[str, list[float]] = {}
    refused: dict[str, int] = {}
    for contrast in CONTRASTS:
        for title, answers in (("synthetic", drawn), ("volunteer", real)):
            yield f"{contrast}, {title}"
            for (name, own), listed in answers.items():
                if own == contrast and listed:
                    response = Response.of(listed)
                    yield f"  {name:16s} {response.line()}" + (
                        f"  no dose: {listed[0].measured:.2f} of {listed[0].true:.2f}"
                        if title == "volunteer"
                        else ""
                    )
                    totals.setdefault(name, []).append(response.mean_absolute_error)
                    far = title == "volunteer" and abs(listed[0].measured - listed[0].true) > 2.0
                    refused[name] = refused.get(name, 0) + (not response.admitted or far)
    yield "mean absolute error over contrasts, synthetic and volunteer with equal weight; cells not admitted"
    for name, errors in sorted(totals.items(), key=lambda item: float(np.mean(item[1]))):
        yield f"  {name:16s} {np.mean(errors):5.2f}  {refused[name]} of {len(errors)}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", type=Path, help="folder whose fat output, if any, is compared too")
    parser.add_argument("--volumes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="first seed of the synthetic stacks")
    given = parser.parse_args()
    methods: dict[str, Method] = dict(METHODS)
    own = network_fat(given.network) if given.network else None
    if own is not None:
        methods["network"] = own
    else:
        print("The network's own fat output: there is none.")
    drawn = synthetic(methods, range(given.seed, given.seed + given.volumes))
    for line in lines(drawn, volunteer(methods, given.data)):
        print(line)


if __name__ == "__main__":
    main()
