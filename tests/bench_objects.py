"""`make bench`, objects: seconds to write each object of a series of 200 slices."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from service.core.mask import Mask
from service.dicom.capture import write_capture
from service.dicom.deflate import deflate
from service.dicom.groups import Segmented
from service.dicom.gsps import write_gsps
from service.dicom.pdf import write_pdf
from service.dicom.phantom import paraspinal_phantom
from service.dicom.seg import write_seg
from service.dicom.series import read_volume, scan
from service.dicom.synthesis import write_phantom
from service.pictures.figures import ReferenceCurve, draw_curves
from service.pictures.overlay import make_panels
from service.pictures.pages import draw_charts, report_pdf
from service.pictures.summary import BELOW_PX, BESIDE_PX, summary_image
from tests.make import results

#: A long HASTE series of the spine.
SHAPE = {"slices": 200, "rows": 320, "columns": 260, "spacing_mm": (1.4, 1.4), "slice_step_mm": 4.0}
#: What the four objects of the usual set may take together on a machine of two cores (issue 7).
LIMIT_S = 1.5
#: The norm of the one score, so that capture and document have their curve, as in a result that is scored.
AGES = tuple(range(20, 85, 2))
CURVES = {
    "imat_fraction": ReferenceCurve(
        age_years=AGES,
        p5=tuple(0.02 + 0.001 * age for age in AGES),
        p50=tuple(0.05 + 0.002 * age for age in AGES),
        p95=tuple(0.08 + 0.003 * age for age in AGES),
        label="demonstration@1, women",
        status="demonstration",
    )
}


def objects(scratch: Path, repeats: int) -> dict[str, float]:
    """The median of each object, drawing included, and what the usual set takes together."""
    (stack,) = scan(write_phantom(scratch / "objects", **SHAPE)).stacks
    labels = paraspinal_phantom(**SHAPE).labels
    ordered = np.ascontiguousarray(labels if stack.grid.normal[2] > 0 else labels[::-1])
    mask = Mask(labels=ordered, grid=stack.grid, fat_separated=True)
    volume, told = read_volume(stack), results.finding(mask)
    panels = make_panels(volume, mask)
    drawing = {"model": results.MODEL, "definition": results.DEFINITION, "identity": results.IDENTITY}
    usual = {"identity": results.IDENTITY}
    paths = {name: scratch / f"{name}.dcm" for name in ("seg", "map", "sr", "planar", "sc", "pdf", "gsps")}
    seg = write_seg(stack, mask, **drawing, path=paths["seg"])
    picture = summary_image(told, results.BANNER, panels)
    capture = write_capture(stack, picture, **usual, path=paths["sc"])
    cited = {"segs": [Segmented(seg=seg, stack=stack)], "others": [capture], **usual}
    sr = results.write_sr(stack, told, **cited, path=paths["sr"])

    def document() -> None:
        pages = report_pdf(told, results.BANNER, panels, charts=draw_charts(told, CURVES))
        write_pdf(stack, pages, sr=sr, **usual, path=paths["pdf"])

    def drawn_capture() -> None:
        curves = draw_curves(told, CURVES, sizes_px=[BESIDE_PX, BELOW_PX], bare=True)
        picture = summary_image(told, results.BANNER, panels, curves=curves)
        write_capture(stack, picture, **usual, path=paths["sc"])

    def label_map() -> None:
        write_seg(stack, mask, **drawing, path=paths["map"], encoding="labelmap", compressed=True)

    def planar() -> None:
        results.write_sr(stack, told, **cited, path=paths["planar"], form="planar", mask=mask)

    jobs: dict[str, Callable[[], object]] = {
        "seg": lambda: write_seg(stack, mask, **drawing, path=paths["seg"]),
        "sr": lambda: results.write_sr(stack, told, **cited, path=paths["sr"]),
        "capture": drawn_capture,
        "pdf": document,
        "label_map": label_map,
        "deflated_seg": lambda: deflate(paths["seg"]),
        "planar_sr": planar,
        "gsps": lambda: write_gsps(stack, mask, **usual, path=paths["gsps"]),
    }
    figures = {f"{name}_of_200_slices_s": _median(job, repeats) for name, job in jobs.items()}
    together = sum(figures[f"{name}_of_200_slices_s"] for name in ("seg", "sr", "capture", "pdf"))
    return {**figures, "seg_sr_capture_pdf_s": together, "seg_sr_capture_pdf_of_limit": together / LIMIT_S}


def _median(job: Callable[[], object], repeats: int) -> float:
    """Seconds of one run, after one that loads what the first use loads."""
    job()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
