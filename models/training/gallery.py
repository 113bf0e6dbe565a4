"""Pictures of failures: the synthetic slices on which the network does worst. No picture of a person.

python -m models.training.gallery --data DIR --network FOLDER --out FILE.png
"""

import argparse
import tomllib
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from models.training.contrast import pick_contrast, render
from models.training.generate import build_pool
from models.training.overlay import contours, sheet
from models.training.predict import Predictor, decide, dice

_ANATOMIES: Final = 100
_SEED: Final = 300_000
_SHOWN: Final = 18
_COLUMNS: Final = 6
#: The back and its surroundings.
_SEEN: Final = np.s_[60:, 44:-44]
#: Below this there is hardly any muscle in the slice and Dice means little.
_FEWEST_PIXELS: Final = 300


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="The synthetic slices on which the network does worst.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True, help="folder of model.onnx and card.toml")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    card = tomllib.loads((given.network / "card.toml").read_text(encoding="utf-8"))
    predictor = Predictor(given.network / card["file"])
    pool, rng = build_pool(given.data, _ANATOMIES, _SEED), np.random.default_rng(_SEED)
    found = []
    for index in range(len(pool)):
        sample = pool.sample(index)
        contrast = pick_contrast(rng)
        image = render(sample, rng, contrast)
        if np.count_nonzero(sample.label) < _FEWEST_PIXELS:
            continue
        answer = decide(predictor.chances(image[None]), card["output"]["threshold"])[0]
        agreement = np.mean([dice(answer == side, sample.label == side) for side in (1, 2)])
        found.append((float(agreement), index, contrast, image, answer, sample.label))
    found.sort(key=lambda item: item[:2])
    tiles = []
    for agreement, index, contrast, image, answer, truth in found[:_SHOWN]:
        print(f"slice {index} {contrast}: Dice {agreement:.2f}")
        tiles += [contours(image, answer)[_SEEN], contours(image, truth)[_SEEN]]
    picture = Image.fromarray(sheet(tiles, _COLUMNS))
    picture.quantize(128, method=Image.Quantize.MEDIANCUT).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
