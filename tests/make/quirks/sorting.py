"""What arrives under one series UID, and what belongs together."""

from functools import partial

from tests.make.quirks.making import (
    FAT,
    TEN,
    WATER,
    angled_blocks,
    copy,
    dixon,
    each,
    enhanced,
    from_sixth,
    having,
    localizer_planes,
    numbered_backwards,
    series,
    several,
    stations,
)
from tests.make.quirks.quirk import BLOCK, MEASURED, Quirk
from tests.make.series import FRAME_UID

SORTING = partial(Quirk, group="Sorting")

SORTING_ROWS = (
    SORTING(
        text="the usual series: axial T2 TSE, ten slices",
        make=series(),
        facts={"contrast": "t2_tse", "plane": "axial", "slices": 10, "age_years": 60.0},
        pixels=True,
    ),
    SORTING(
        text="files in any order, numbered backwards",
        make=each(numbered_backwards),
        facts={"coverage_mm": 40.0},
    ),
    SORTING(text="one image twice under two file names", make=copy, files=("duplicate_instance",)),
    SORTING(
        text="a three-plane localizer under one series UID",
        make=localizer_planes,
        sets=("localizer", "localizer, wrong_plane", "localizer, wrong_plane"),
    ),
    SORTING(
        text="two frames of reference under one series UID",
        make=from_sixth("FrameOfReferenceUID", FRAME_UID + ".2"),
        sets=(MEASURED, MEASURED),
    ),
    SORTING(
        text="two echoes under one series UID, EchoTime 98 and 20 ms",
        make=from_sixth("EchoTime", "20"),
        sets=(MEASURED, "unsupported_contrast"),
    ),
    SORTING(
        text="magnitude and phase images under one series UID",
        make=from_sixth("ImageType", ["ORIGINAL", "PRIMARY", "P"]),
        sets=(MEASURED, "unsupported_contrast"),
    ),
    SORTING(
        text="reformats among the originals of one series",
        make=from_sixth("ImageType", ["DERIVED", "SECONDARY", "MPR"]),
        sets=(MEASURED, "derived"),
    ),
    SORTING(
        text="a dynamic series: each place twice, told apart by TemporalPositionIdentifier",
        make=from_sixth("TemporalPositionIdentifier", 2),
        sets=(MEASURED, MEASURED),
    ),
    SORTING(
        text="each place twice and nothing tells the images apart: by their number",
        make=series(positions=TEN + TEN),
        sets=(MEASURED, MEASURED),
    ),
    SORTING(
        text="two overlapping stations, told apart by TablePosition: measured together",
        make=stations,
        facts={"slices": 10},
    ),
    SORTING(
        text="three blocks angled to three discs under one series UID",
        make=angled_blocks,
        sets=(BLOCK, BLOCK, BLOCK),
        facts={"slices": 3},
    ),
    SORTING(text="two slices", make=series(positions=TEN[:2]), sets=("too_few_slices",)),
    SORTING(
        text="Enhanced MR, one object of ten frames",
        make=enhanced(),
        facts={"contrast": "t2_tse", "slices": 10},
        pixels=True,
    ),
    SORTING(
        text="Legacy Converted Enhanced MR",
        make=enhanced(sop_class="1.2.840.10008.5.1.4.1.1.4.4"),
        facts={"slices": 10},
    ),
    SORTING(
        text="Enhanced MR with water and fat frames in one object: one Dixon pair",
        make=enhanced(
            TEN + TEN,
            frame_types=[["DERIVED", "PRIMARY", "DIXON", "WATER"]] * 10
            + [["DERIVED", "PRIMARY", "DIXON", "FAT"]] * 10,
        ),
        facts={"contrast": "water", "slices": 10},
    ),
    SORTING(
        text="Enhanced MR that describes fewer frames than NumberOfFrames",
        make=enhanced(NumberOfFrames="11"),
        sets=(),
        files=("bad_frame_count",),
    ),
    SORTING(
        text="a multi-frame object without functional groups",
        make=having(NumberOfFrames="3"),
        sets=(),
        files=("no_geometry",) * 10,
    ),
    SORTING(
        text="a Dixon water and fat series of one acquisition: one pair",
        make=several(WATER(), FAT()),
        facts={"contrast": "water"},
    ),
    SORTING(
        text="all five Dixon images: one pair, the others are parts of it",
        make=several(
            WATER(),
            FAT(),
            dixon("IN_PHASE", number=3),
            dixon("OPP_PHASE", number=4),
            dixon("FAT_FRACTION", number=5),
        ),
        sets=(MEASURED, "part_of_dixon_set", "part_of_dixon_set", "part_of_dixon_set"),
    ),
)
