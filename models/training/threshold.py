"""The decision threshold, chosen on synthetic slices of another seed and never on a person."""

from pathlib import Path
from typing import Final

import numpy as np

from models.training.contrast import render
from models.training.generate import build_pool
from models.training.predict import Predictor, decide

#: Contrasts in which fat is separated; the threshold is chosen for them alike.
_CONTRASTS: Final = ("t2", "t1", "in_phase", "water")
_THRESHOLDS: Final = tuple(round(0.30 + 0.05 * k, 2) for k in range(11))
_ANATOMIES: Final = 80
#: Added to the seed of the training, so that no slice was trained on.
VALIDATION_SEED: Final = 100_000


def choose_threshold(network: Path, data: Path, *, seed: int) -> tuple[float, dict[str, float]]:
    """The threshold with the best mean Dice, and the Dice of each contrast with it."""
    predictor = Predictor(network)
    pool = build_pool(data, _ANATOMIES, seed + VALIDATION_SEED)
    rng = np.random.default_rng(seed + VALIDATION_SEED)
    # Pixels of answer, of truth and of both, by contrast and threshold.
    counts = np.zeros((len(_CONTRASTS), len(_THRESHOLDS), 3))
    for index in range(len(pool)):
        sample = pool.sample(index)
        kind = index % len(_CONTRASTS)
        chances = predictor.chances(render(sample, rng, _CONTRASTS[kind])[None])
        for place, threshold in enumerate(_THRESHOLDS):
            label = decide(chances, threshold)[0]
            agreed = (label == sample.label) & (label > 0)
            counts[kind, place] += (label > 0).sum(), (sample.label > 0).sum(), agreed.sum()
    scores = 2 * counts[..., 2] / (counts[..., 0] + counts[..., 1])
    best = int(np.argmax(scores.mean(axis=0)))
    return _THRESHOLDS[best], dict(zip(_CONTRASTS, scores[:, best].round(4).tolist(), strict=True))
