"""Plane, region, by-products and geometry."""

from functools import partial

from tests.make.quirks.making import TEN, each, having, series
from tests.make.quirks.quirk import Quirk
from tests.make.series import CORONAL, SAGITTAL, tilted

PLACE = partial(Quirk, group="Plane, region, by-products")

PLACE_ROWS = (
    PLACE(
        text="sagittal", make=series(orientation=SAGITTAL), sets=("wrong_plane",), facts={"plane": "sagittal"}
    ),
    PLACE(
        text="coronal", make=series(orientation=CORONAL), sets=("wrong_plane",), facts={"plane": "coronal"}
    ),
    PLACE(
        text="axial, tilted by 20 degrees along the lumbosacral disc",
        make=series(orientation=tilted(20)),
        facts={"plane": "axial"},
    ),
    PLACE(
        text="axial, tilted by 40 degrees",
        make=series(orientation=tilted(40)),
        sets=("tilted",),
        facts={"plane": "axial"},
    ),
    PLACE(text="BodyPartExamined LSPINE", make=having(BodyPartExamined="LSPINE"), facts={"region": "lumbar"}),
    PLACE(
        text="BodyPartExamined SPINE, the study is called MRI LUMBAR SPINE",
        make=having(BodyPartExamined="SPINE", StudyDescription="MRI LUMBAR SPINE"),
        facts={"region": "lumbar"},
    ),
    PLACE(
        text="German: t2_tse_tra_LWS",
        make=having(SeriesDescription="t2_tse_tra_LWS"),
        facts={"region": "lumbar"},
    ),
    PLACE(
        text="French: rachis lombaire",
        make=having(StudyDescription="IRM rachis lombaire"),
        facts={"region": "lumbar"},
    ),
    PLACE(
        text="thoracolumbar",
        make=having(StudyDescription="MR thoracolumbar spine"),
        facts={"region": "thoracolumbar"},
    ),
    PLACE(
        text="the cervical spine",
        make=having(BodyPartExamined="CSPINE"),
        sets=("wrong_region",),
        facts={"region": "cervical"},
    ),
    PLACE(
        text="the thoracic spine: BWS",
        make=having(StudyDescription="MRT BWS"),
        sets=("wrong_region",),
        facts={"region": "thoracic"},
    ),
    PLACE(
        text="the whole spine",
        make=having(StudyDescription="MR whole spine"),
        sets=("wrong_region",),
        facts={"region": "whole_spine"},
    ),
    PLACE(
        text="no attribute names the level: measured, and the drawing decides",
        make=having(BodyPartExamined="ABDOMEN"),
        facts={"region": "unknown"},
    ),
    PLACE(
        text="BodyPartExamined KNEE, and other parts of the body without lumbar muscle",
        make=having(BodyPartExamined="KNEE"),
        sets=("wrong_region",),
        facts={"region": "elsewhere"},
    ),
    PLACE(
        text="BodyPartExamined HEAD left over from another patient, described as LWS",
        make=having(BodyPartExamined="HEAD", SeriesDescription="t2_tse_tra_LWS"),
        facts={"region": "lumbar"},
    ),
    PLACE(
        text="a localizer, told by the description: 3-pl Loc",
        make=having(SeriesDescription="3-pl Loc"),
        sets=("localizer",),
    ),
    PLACE(text="a Philips survey", make=having(SeriesDescription="Survey"), sets=("localizer",)),
    PLACE(
        text="a GE calibration scan", make=having(SeriesDescription="ASSET calibration"), sets=("localizer",)
    ),
    PLACE(
        text="a projection (MIP)",
        make=having(ImageType=["DERIVED", "SECONDARY", "PROJECTION IMAGE"]),
        sets=("derived",),
    ),
    PLACE(text="a subtraction", make=having(ImageType=["DERIVED", "PRIMARY", "M", "SUB"]), sets=("derived",)),
    PLACE(
        text="a screenshot that calls itself MR",
        make=having(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"),
        sets=("wrong_sop_class",),
    ),
    PLACE(
        text="CT",
        make=having(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
        sets=("wrong_modality, wrong_sop_class, unsupported_contrast",),
    ),
    PLACE(
        text="LossyImageCompression 01", make=having(LossyImageCompression="01"), sets=("lossy_compression",)
    ),
)

GEOMETRY = partial(Quirk, group="Geometry")

GEOMETRY_ROWS = (
    GEOMETRY(
        text="SpacingBetweenSlices is wrong or negative: positions count",
        make=having(SpacingBetweenSlices="-3.3", SliceThickness="1"),
        facts={"coverage_mm": 40.0, "spacing_mm": (4.0, 1.5, 2.0)},
    ),
    GEOMETRY(
        text="a slice is missing", make=series(positions=(*TEN[:4], *TEN[5:])), sets=("missing_slices",)
    ),
    GEOMETRY(
        text="gaps of 20 percent between slices that are 4 mm thick",
        make=series(positions=[4.8 * i for i in range(10)]),
        facts={"coverage_mm": 48.0},
    ),
    GEOMETRY(
        text="steps that differ a little: each slice stands for half the way to its neighbours",
        make=series(positions=(0, 4, 8.4, 12, 16, 20.5, 24, 28, 32, 36)),
        facts={"coverage_mm": 40.0},
    ),
    GEOMETRY(
        text="directions that differ in the last digits",
        make=each(
            lambda dataset, index: setattr(
                dataset, "ImageOrientationPatient", ["1", f"{index}e-5", "0", f"-{index}e-5", "1", "0"]
            )
        ),
    ),
    GEOMETRY(
        text="the feet first, columns from left to right mirrored: sides by patient coordinates",
        make=series(orientation=[-1, 0, 0, 0, 1, 0]),
        facts={"slices": 10},
    ),
    GEOMETRY(
        text="no ImagePositionPatient",
        make=having(ImagePositionPatient=None),
        sets=(),
        files=("no_geometry",) * 10,
    ),
    GEOMETRY(text="no PixelSpacing", make=having(PixelSpacing=None), sets=(), files=("no_geometry",) * 10),
    GEOMETRY(
        text="PixelSpacing 0", make=having(PixelSpacing=["0", "1"]), sets=(), files=("bad_geometry",) * 10
    ),
    GEOMETRY(
        text="an ImageOrientationPatient of zeros",
        make=having(ImageOrientationPatient=["0"] * 6),
        sets=(),
        files=("bad_geometry",) * 10,
    ),
    GEOMETRY(
        text="a position a kilometre away",
        make=having(ImagePositionPatient=["0", "0", "1e6"]),
        sets=(),
        files=("bad_geometry",) * 10,
    ),
    GEOMETRY(
        text="no FrameOfReferenceUID", make=having(FrameOfReferenceUID=None), sets=("no_frame_of_reference",)
    ),
    GEOMETRY(text="a matrix of 5000 rows", make=having(Rows=5000), sets=(), files=("too_large",) * 10),
)
