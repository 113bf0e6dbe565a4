"""What tells the contrast."""

from functools import partial

from tests.make.quirks.making import GRADIENT, UNTOLD, described, dixon, each, having, mosaic
from tests.make.quirks.quirk import Quirk

CONTRAST = partial(Quirk, group="Contrast")

CONTRAST_ROWS = (
    CONTRAST(
        text="Siemens Dixon: ORIGINAL\\PRIMARY\\M\\ND\\DIXON\\WATER",
        make=dixon("WATER", vendor="siemens"),
        facts={"contrast": "water"},
    ),
    CONTRAST(
        text="Philips mDixon: DERIVED\\PRIMARY\\W\\W\\DERIVED",
        make=dixon("W", vendor="philips"),
        facts={"contrast": "water"},
    ),
    CONTRAST(text="Philips in-phase: IP", make=dixon("IP", vendor="philips"), facts={"contrast": "in_phase"}),
    CONTRAST(
        text="GE flex: DERIVED\\SECONDARY\\DIXON\\WATER is not called derived",
        make=dixon("WATER", vendor="ge"),
        facts={"contrast": "water", "derived": False},
    ),
    CONTRAST(
        text="GE LAVA-Flex named by the description alone: WATER: Ax LAVA-Flex",
        make=described("WATER: Ax LAVA-Flex"),
        facts={"contrast": "water"},
    ),
    CONTRAST(
        text="Siemens VIBE named by the suffix alone: t1_vibe_dixon_tra_W",
        make=described("t1_vibe_dixon_tra_W"),
        facts={"contrast": "water"},
    ),
    CONTRAST(
        text="a fat image alone", make=dixon("F"), sets=("unsupported_contrast",), facts={"contrast": "fat"}
    ),
    CONTRAST(
        text="a fat fraction map",
        make=dixon("FF"),
        sets=("unsupported_contrast",),
        facts={"contrast": "fat_fraction"},
    ),
    CONTRAST(
        text="an opposed-phase image, told by its echo time at 1.5 T",
        make=having(**GRADIENT, EchoTime="2.38"),
        sets=("unsupported_contrast",),
        facts={"contrast": "opposed"},
    ),
    CONTRAST(
        text="the in-phase image of a Dixon TSE is its T2 image",
        make=having(ImageType=["ORIGINAL", "PRIMARY", "M", "IN_PHASE"]),
        facts={"contrast": "t2_tse", "dixon_part": "in_phase"},
    ),
    CONTRAST(
        text="HASTE, told by 128 echoes", make=having(EchoTrainLength="128"), facts={"contrast": "t2_haste"}
    ),
    CONTRAST(
        text="SSFSE, told by the description",
        make=having(SeriesDescription="Ax SSFSE"),
        facts={"contrast": "t2_haste"},
    ),
    CONTRAST(text="T1 TSE", make=having(EchoTime="10", RepetitionTime="550"), facts={"contrast": "t1"}),
    CONTRAST(
        text="T1 after a contrast agent, told by ContrastBolusAgent",
        make=having(EchoTime="10", RepetitionTime="550", ContrastBolusAgent="Gadovist"),
        sets=("post_contrast",),
        facts={"contrast": "t1"},
    ),
    CONTRAST(
        text="T1 after a contrast agent, told by the description: t1_tse_tra_KM",
        make=having(EchoTime="10", RepetitionTime="550", SeriesDescription="t1_tse_tra_KM"),
        sets=("post_contrast",),
    ),
    CONTRAST(
        text="T2 after a contrast agent changes little",
        make=having(ContrastBolusAgent="Gadovist"),
        facts={"contrast": "t2_tse"},
    ),
    CONTRAST(
        text="STIR, told by InversionTime 160 ms",
        make=having(ScanningSequence=["SE", "IR"], InversionTime="160"),
        sets=("unsupported_contrast",),
        facts={"contrast": "stir"},
    ),
    CONTRAST(
        text="fat saturation, told by ScanOptions FS",
        make=having(ScanOptions="FS"),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(
        text="fat saturation, told by the description: t2_tse_fs_tra",
        make=having(SeriesDescription="t2_tse_fs_tra"),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(
        text="FLAIR: a long inversion time",
        make=having(ScanningSequence=["SE", "IR"], InversionTime="2500"),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(text="proton density", make=having(EchoTime="30"), sets=("unsupported_contrast",)),
    CONTRAST(
        text="diffusion (echo planar)",
        make=having(ScanningSequence=["SE", "EP"]),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(
        text="an apparent diffusion map",
        make=having(ImageType=["DERIVED", "PRIMARY", "ADC"]),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(text="a Siemens mosaic", make=each(mosaic), sets=("unsupported_contrast",)),
    CONTRAST(
        text="balanced steady state (TrueFISP)",
        make=having(**{**GRADIENT, "SequenceVariant": "SS"}, EchoTime="2"),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(
        text="no times at all, described as AX T2 FSE",
        make=having(**UNTOLD, SeriesDescription="AX T2 FSE"),
        facts={"contrast": "t2_tse"},
    ),
    CONTRAST(
        text="no times at all, described as T2* ax",
        make=having(**UNTOLD, SeriesDescription="T2* ax"),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(
        text="nothing names the contrast",
        make=having(**UNTOLD, SeriesDescription=None),
        sets=("unsupported_contrast",),
    ),
    CONTRAST(
        text="the field strength in gauss (15000)",
        make=having(**GRADIENT, EchoTime="4.77", MagneticFieldStrength="15000"),
        sets=("unsupported_contrast",),
    ),
)
