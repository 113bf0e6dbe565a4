"""How sure a network was of its own answer, from its probabilities and without knowing the truth."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: What is kept of every slice. The first is a weight, the others say how bad: 0 is sure, 1 the worst.
MEASURES: Final = (
    "muscle_mm2",  # area expected from the probabilities, that is their sum
    "soft_loss",  # 1 - Dice of the probabilities with the mask that the threshold makes of them
    "threshold_spread",  # share of the area that comes or goes when the threshold moves by 0.2
    "faint_core",  # 1 - mean probability within the mask
    "stray",  # share of the probability that lies outside the mask
    "side_doubt",  # share of the mask's probability that is given to the other side
    "mirror_difference",  # difference between the answers to image and mirror image, over their sum
)
#: How far the threshold is moved to either side (chosen by us: 0.3 and 0.7 around the usual 0.5).
SPREAD: Final = 0.2
#: Pixels without any hope of muscle are left out, which saves most of the work. Chosen by us.
FAINT: Final = 0.02


def slice_certainty(answers: NDArray[np.float32], threshold: float, pixel_mm2: float) -> NDArray[np.float32]:
    """``MEASURES`` of one slice.

    ``answers`` has the shape (answers, sides, rows, columns): the probability of the left and the right
    compartment in one answer, or in the answers to the image and to its mirror image.
    """
    sides = answers.mean(axis=0)
    muscle = sides.sum(axis=0)
    seen = muscle > FAINT
    if not seen.any():
        return np.array([0.0, *[1.0] * (len(MEASURES) - 1)], dtype=np.float32)
    # One dimension of pixels from here on.
    sides, muscle, answers = sides[:, seen], muscle[seen], answers[:, :, seen]
    mask = muscle >= threshold
    total, inside, area = float(muscle.sum()), float(muscle[mask].sum()), int(mask.sum())
    wide, narrow = (int((muscle >= threshold + move).sum()) for move in (-SPREAD, SPREAD))
    apart = float(np.abs(answers[0] - answers[-1]).sum()) / (2.0 * total)
    measures = (
        1.0 - 2.0 * inside / (total + area),
        (wide - narrow) / max(wide, 1),
        1.0 - inside / area if area else 1.0,
        1.0 - inside / total,
        2.0 * float(sides[:, mask].min(axis=0).sum()) / inside if area else 1.0,
        min(apart, 1.0),
    )
    return np.array([total * pixel_mm2, *measures], dtype=np.float32)
