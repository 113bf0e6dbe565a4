"""The one real volunteer with expert masks, converted from NIfTI to DICOM series.

    python -m tests.make.tum01 --data DIR --out DIR --contrast t2_tse

DIR holds ``tum01/``. The headers say that the images are converted; age, sex and height are unknown.
"""

import argparse
from pathlib import Path

import numpy as np

from service.core.volume import Grid, Volume
from service.dicom.synthesis import SyntheticPatient, SyntheticSeries, write_mr_series
from tests.make.nifti import read_nifti

#: Weights of water and fat that give each contrast (muscle dark and fat bright for T2).
WEIGHTS = {
    "t2_tse": (0.6, 1.0),
    "t2_haste": (0.6, 1.0),
    "t1": (0.8, 1.0),
    "in_phase": (1.0, 1.0),
    "water": (1.0, 0.0),
    "fat": (0.0, 1.0),
    "opposed": (1.0, -1.0),
}
#: Labels of the expert's mask.
ERECTOR_RIGHT, MULTIFIDUS_RIGHT, MULTIFIDUS_LEFT, ERECTOR_LEFT = 1, 2, 3, 4
RIGHT, LEFT = (ERECTOR_RIGHT, MULTIFIDUS_RIGHT), (MULTIFIDUS_LEFT, ERECTOR_LEFT)
PATIENT = SyntheticPatient(name="TUM01^CONVERTED", patient_id="TUM01")


def tum01_grid(data: Path) -> Grid:
    """The grid of the mask; the water image carries no origin of its own."""
    array, affine = read_nifti(data / "tum01" / "mask.nii.gz")
    columns, rows, slices = array.shape
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    steps = np.arange(slices)[:, None] * affine[:3, 2]
    return Grid(
        origins_mm=affine[:3, 3] + steps,
        column_direction=affine[:3, 0] / spacing[0],
        row_direction=affine[:3, 1] / spacing[1],
        pixel_spacing_mm=(float(spacing[1]), float(spacing[0])),
        rows=rows,
        columns=columns,
        slice_thickness_mm=float(spacing[2]),
    )


def tum01_array(data: Path, name: str) -> np.ndarray:
    """One of ``water``, ``fat``, ``mask``, indexed (slice, row, column) as on ``tum01_grid``."""
    array, _ = read_nifti(data / "tum01" / f"{name}.nii.gz")
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def tum01_labels(data: Path) -> np.ndarray:
    """The expert's labels 1 to 4 (1, 2 the patient's right; 3, 4 the left)."""
    return tum01_array(data, "mask").astype(np.uint8)


def tum01_volume(data: Path, contrast: str) -> Volume:
    """The image of one contrast, from the volunteer's water and fat images."""
    water, fat = (tum01_array(data, name).astype(np.float32) for name in ("water", "fat"))
    of_water, of_fat = WEIGHTS[contrast]
    return Volume(values=np.abs(of_water * water + of_fat * fat), grid=tum01_grid(data))


def write_tum01(data: Path, out: Path, *, contrast: str = "t2_tse") -> list[Path]:
    """Write one series; all contrasts belong to one study and share the frame of reference."""
    series = SyntheticSeries(
        key=contrast,
        study_key="tum01",
        description=f"TUM01 {contrast} converted",
        study_description="MyoSegmenTUM spine, converted",
        origin=f"Converted from NIfTI water and fat images ({contrast}); not scanner output.",
        manufacturer="converted",
        model_name="tests.make.tum01",
        series_number=1 + sorted(WEIGHTS).index(contrast),
        field_tesla=3.0,
    )
    volume = tum01_volume(data, contrast)
    return write_mr_series(volume, out, contrast=contrast, patient=PATIENT, series=series)


def main() -> None:
    """Write one contrast, and with --labels the expert's mask as an array on the same grid."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds tum01/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--contrast", choices=sorted(WEIGHTS), default="t2_tse")
    parser.add_argument("--labels", type=Path, help="write the mask (slice, row, column) to this .npy")
    arguments = parser.parse_args()
    write_tum01(arguments.data, arguments.out, contrast=arguments.contrast)
    if arguments.labels:
        np.save(arguments.labels, tum01_labels(arguments.data))


if __name__ == "__main__":
    main()
