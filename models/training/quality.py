"""Learns when a network is wrong, and measures how well that was learned.

python -m models.training.quality --data DIR --network models/paraspinal [--card] [--out FILE]

Prints the report; ``--out`` writes the table ``[quality.predictor]`` to a file, ``--card`` puts it into
the card of the network. Stacks to fit and to test come from pools of different seeds, neither of them
that of training. Drawn phantoms and the volunteer of tum01 are only tested on.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

import numpy as np

from models.training.atlas import LPM_PIXEL_MM, lpm_shapes
from models.training.corruptions import KINDS
from models.training.generate import Pool, build_pool
from models.training.off_use import off_use_lines
from models.training.quality_cases import (
    Case,
    Observer,
    phantom_stacks,
    synthetic_stacks,
    volunteer_stacks,
)
from models.training.quality_fit import (
    RIGHT_WITHHELD,
    WRONG_BELOW,
    auc,
    fit,
    predictions,
    spearman,
    truths,
    withholding,
)
from models.training.tissues import PIXEL_MM, Codes
from service.core.predictor import Predictor
from service.core.shape import DESCRIPTORS, ShapeStatistics, describe
from service.inference.card import read_card
from service.inference.segmenter import OnnxSegmenter

#: Far from the seeds of training and of its validation.
FIT_SEED, TEST_SEED = 710_001, 720_001
#: Anatomies of each pool; one chunk of the generator.
ANATOMIES: Final = 40
FIT_STACKS, FIT_KINDS, TEST_STACKS = 60, 3, 5
PHANTOM_SEEDS: Final = (12, 15)
START: Final = "# Written by models.training.quality; do not edit."
END: Final = "# End of what models.training.quality wrote."
#: Edges of the calibration table.
BINS: Final = (0.0, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)


def shape_statistics(data: Path, pool: Pool) -> ShapeStatistics:
    """Mean and covariance over the hand masks (L4/L5) and the synthetic labels (all levels), half each.

    Every pair counts mirrored as well, so that neither side is the usual one.
    """
    hand = [_sides(mask, (100, 50), (150, 200)) for mask in lpm_shapes(data)]
    made = [_sides(label, (1,), (2,)) for label in pool.label]
    groups = [_described(hand, LPM_PIXEL_MM), _described(made, PIXEL_MM)]
    values = np.concatenate(groups)
    weights = np.concatenate([np.full(len(group), 1.0 / len(group)) for group in groups])
    mean = np.average(values, axis=0, weights=weights)
    return ShapeStatistics(mean=mean, covariance=np.cov(values.T, aweights=weights))


def _sides(mask: Codes, right: tuple[int, ...], left: tuple[int, ...]) -> Codes:
    """The mask in the codes of the service: 1 left, 2 right."""
    return (np.isin(mask, left) + 2 * np.isin(mask, right)).astype(np.uint8)


def _described(masks: Iterable[Codes], pixel_mm: float) -> np.ndarray:
    mirror = np.array([0, 2, 1], np.uint8)
    both = chain.from_iterable((mask, mirror[mask[:, ::-1]]) for mask in masks)
    found = (describe(mask, (pixel_mm, pixel_mm)) for mask in both)
    return np.stack([row for row in found if row is not None])


def report(predictor: Predictor, fitted: Sequence[Case], tested: Sequence[Case]) -> Iterator[str]:
    """The numbers as text."""
    yield f"fitted on {len(fitted)} stacks, tested on {len(tested)}; wrong means Dice below {WRONG_BELOW}"
    yield "coefficients " + ", ".join(f"{name} {value:.2f}" for name, value in predictor.coefficients.items())
    yield "limits " + ", ".join(f"{name} {value:.2f}" for name, value in predictor.limits.items())
    yield f"residual sd of the logit {predictor.residual_sd:.2f}"
    yield f"withheld below {predictor.withhold_below:.3f}: {RIGHT_WITHHELD:.0%} of the right drawings"
    for source in dict.fromkeys(case.source for case in tested):
        yield ""
        yield from _source(predictor, source, [case for case in tested if case.source == source])
    yield ""
    yield from _left_out(predictor.shape, fitted, tested)


def _source(predictor: Predictor, source: str, cases: Sequence[Case]) -> Iterator[str]:
    """Correlation within each kind, then all cases of one source."""
    yield f"{source}: kind, median true Dice by strength, Spearman within the kind, mean error"
    for kind in KINDS:
        own = [case for case in cases if case.kind == kind]
        clean = [case for case in cases if case.kind == "none"]
        grades = [
            np.median([case.stack_dice for case in own if case.strength == s])
            for s in sorted({case.strength for case in own})
        ]
        medians = " ".join(f"{grade:.2f}" for grade in grades)
        both = [*clean, *own]
        within = spearman(predictions(predictor, both), truths(both))
        error = np.abs(predictions(predictor, own) - truths(own)).mean()
        yield f"  {kind:8} {medians}  {within:5.2f}  {error:.3f}"
    predicted, true = predictions(predictor, cases), truths(cases)
    effect = withholding(predictor, cases)
    yield f"  all: Spearman {spearman(predicted, true):.2f}, AUC {auc(predicted, true):.3f}"
    yield (
        f"  withheld of the wrong {effect.sensitivity:.0%}, given of the right {effect.specificity:.0%}, "
        f"truth within the 95 % interval {effect.coverage:.0%}"
    )
    yield "  calibration: predicted from-to, stacks, mean predicted, mean true"
    for low, high in pairwise(BINS):
        inside = (predicted >= low) & (predicted < high)
        if inside.any():
            means = f"{predicted[inside].mean():.3f} {true[inside].mean():.3f}"
            yield f"  {low:.2f}-{high:.2f} {inside.sum():4d} {means}"


def _left_out(shape: ShapeStatistics, fitted: Sequence[Case], tested: Sequence[Case]) -> Iterator[str]:
    """Every kind predicted by what was learned without it."""
    yield "kind left out of the fit: Spearman within it, AUC, mean error (all sources)"
    for kind in KINDS:
        without = fit([case for case in fitted if case.kind != kind], shape)
        own = [case for case in tested if case.kind in (kind, "none")]
        predicted, true = predictions(without, own), truths(own)
        error = np.abs(predicted - true).mean()
        yield f"  {kind:8} {spearman(predicted, true):5.2f}  {auc(predicted, true):.3f}  {error:.3f}"


def card_table(predictor: Predictor, sha256: str) -> str:
    """``[quality.predictor]`` as the card has it."""
    lines = [
        START,
        "[quality.predictor]",
        "# Dice of a drawing predicted from the network's certainty and the shape of the pair.",
        f'learned_on = "{sha256}"',
        f"intercept = {predictor.intercept:.4f}",
        f"residual_sd = {predictor.residual_sd:.4f}",
        f"# Withholds {RIGHT_WITHHELD:.0%} of the synthetic stacks whose Dice is {WRONG_BELOW} or more.",
        f"withhold_below = {predictor.withhold_below:.3f}",
        "[quality.predictor.coefficients]",
        *(f"{name} = {value:.4f}" for name, value in predictor.coefficients.items()),
        "# Beyond these the images are unlike any in which the drawing was right.",
        "[quality.predictor.limits]",
        *(f"{name} = {value:.4f}" for name, value in predictor.limits.items()),
        "# Of the 3Shot-LPM-Seg hand masks and of synthetic slices of all levels, half each.",
        "[quality.predictor.shape]",
        f"descriptors = {_list(map(json.dumps, DESCRIPTORS))}",
        f"mean = {_numbers(predictor.shape.mean)}",
        "covariance = [",
        *(f"  {_numbers(row)}," for row in predictor.shape.covariance),
        "]",
        END,
    ]
    return "\n".join(lines) + "\n"


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _numbers(values: Iterable[float]) -> str:
    return _list(f"{value:.6f}" for value in values)


def put_into_card(path: Path, table: str) -> None:
    """The table at the end of the card, in the place of an earlier one; nothing, if it is empty."""
    kept = "\n".join(_without_table(path.read_text("utf-8").splitlines())).rstrip("\n")
    path.write_text(f"{kept}\n\n{table}" if table else f"{kept}\n", "utf-8")


def _without_table(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a card without an earlier table, wherever it stands."""
    inside = False
    for line in lines:
        if line == START or line.startswith("[quality.predictor"):
            inside = True
        elif line.startswith("["):
            inside = False
        if not inside:
            yield line
        if line == END:
            inside = False


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True, help="folder with card.toml and the weights")
    parser.add_argument("--out", type=Path, help="write the table to this file")
    parser.add_argument("--card", action="store_true", help="put the table into the card of the network")
    parser.add_argument("--threads", type=int, default=0)
    given, start = parser.parse_args(), time.monotonic()
    folder = given.network if given.network.is_dir() else given.network.parent
    if given.card:
        # What was learned on earlier weights makes a card unreadable.
        put_into_card(folder / "card.toml", "")
    segmenter = OnnxSegmenter(read_card(folder), providers=("CPUExecutionProvider",), threads=given.threads)
    pools = [build_pool(given.data, ANATOMIES, seed) for seed in (FIT_SEED, TEST_SEED)]
    observer = Observer(segmenter, shape_statistics(given.data, pools[0]))
    rng = np.random.default_rng(FIT_SEED)
    fitted = list(observer.random_cases(synthetic_stacks(pools[0], FIT_STACKS, rng), rng, FIT_KINDS))
    predictor = fit(fitted, observer.shape)
    table = card_table(predictor, segmenter.card.sha256)
    if given.out:
        given.out.write_text(table, "utf-8")
    if given.card:
        put_into_card(folder / "card.toml", table)
    print(f"fitted after {time.monotonic() - start:.0f} s", flush=True)
    rng = np.random.default_rng(TEST_SEED)
    stacks = chain(
        synthetic_stacks(pools[1], TEST_STACKS, rng),
        phantom_stacks(PHANTOM_SEEDS),
        volunteer_stacks(given.data),
    )
    tested = list(observer.graded_cases(stacks, rng))
    for line in chain(report(predictor, fitted, tested), off_use_lines(observer, predictor, given.data)):
        print(line, flush=True)
    print(f"{time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
