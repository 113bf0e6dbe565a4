"""The tissues that synthetic slices are made of, and their signal in each contrast."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

#: In-plane pixel of every synthetic slice and of the network's input.
PIXEL_MM: Final = 1.25


class Tissue(IntEnum):
    """One byte a pixel of synthetic anatomy."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    DEEP_FAT = 3
    #: Erector spinae.
    SPINAE = 4
    MULTIFIDUS = 5
    #: Psoas, quadratus lumborum, iliacus: next to the compartment and easily taken for it.
    DEEP_MUSCLE = 6
    #: Abdominal wall, gluteal muscles, latissimus dorsi.
    OUTER_MUSCLE = 7
    CORTEX = 8
    MARROW = 9
    DISC = 10
    FLUID = 11
    NERVE = 12
    LIVER = 13
    SPLEEN = 14
    KIDNEY = 15
    BOWEL = 16
    GAS = 17
    VESSEL = 18
    FASCIA = 19
    #: Screws and rods: no signal in any contrast.
    METAL = 20


@dataclass(frozen=True)
class Signal:
    """Typical water signal in four families of contrast, and fat signal, of one tissue.

    Fat of adipose tissue is 1. Values chosen by us to give the usual order of grey values; each
    sample scatters them (see ``contrast``), so that only the order and not the number is learned.
    """

    t2: float
    t1: float
    proton: float
    fat: float


SIGNALS: Final[dict[Tissue, Signal]] = {
    Tissue.AIR: Signal(0.0, 0.0, 0.0, 0.0),
    Tissue.SKIN: Signal(0.25, 0.30, 0.40, 0.08),
    Tissue.SUBCUTANEOUS_FAT: Signal(0.02, 0.03, 0.07, 1.0),
    Tissue.DEEP_FAT: Signal(0.02, 0.04, 0.09, 0.92),
    Tissue.SPINAE: Signal(0.20, 0.32, 0.48, 0.04),
    Tissue.MULTIFIDUS: Signal(0.20, 0.32, 0.48, 0.05),
    Tissue.DEEP_MUSCLE: Signal(0.20, 0.32, 0.49, 0.03),
    Tissue.OUTER_MUSCLE: Signal(0.20, 0.32, 0.47, 0.05),
    Tissue.CORTEX: Signal(0.03, 0.03, 0.05, 0.02),
    Tissue.MARROW: Signal(0.20, 0.16, 0.30, 0.40),
    Tissue.DISC: Signal(0.35, 0.28, 0.50, 0.03),
    Tissue.FLUID: Signal(1.15, 0.14, 0.55, 0.0),
    Tissue.NERVE: Signal(0.45, 0.30, 0.55, 0.05),
    Tissue.LIVER: Signal(0.28, 0.42, 0.58, 0.05),
    Tissue.SPLEEN: Signal(0.50, 0.28, 0.55, 0.02),
    Tissue.KIDNEY: Signal(0.60, 0.30, 0.60, 0.03),
    Tissue.BOWEL: Signal(0.45, 0.32, 0.45, 0.08),
    Tissue.GAS: Signal(0.01, 0.01, 0.01, 0.0),
    Tissue.VESSEL: Signal(0.10, 0.15, 0.45, 0.0),
    Tissue.FASCIA: Signal(0.06, 0.12, 0.20, 0.10),
    Tissue.METAL: Signal(0.0, 0.0, 0.0, 0.0),
}


def signal_table() -> Floats:
    """Rows in the order of ``Tissue``, columns t2, t1, proton, fat."""
    rows = [(s.t2, s.t1, s.proton, s.fat) for s in (SIGNALS[t] for t in Tissue)]
    return np.array(rows, np.float32)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One synthetic slice without contrast: row 0 anterior, column 0 the patient's right."""

    #: ``Tissue`` of each pixel.
    tissue: Codes
    #: 0 background, 1 compartment of the patient's right, 2 of the left.
    label: Codes
    #: Row and column of the middle of the spinal canal.
    canal: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Sample:
    """An ``Anatomy`` after deformation, with fat infiltration; what the pool of slices stores."""

    tissue: Codes
    label: Codes
    #: Share of each pixel that is replaced by fat, 0 to 255.
    infiltration: Codes
