"""What a reader sees of the results in stock OHIF: on the muscle, named, readable, never blank."""

import io
import re
import time
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from service.core.mask import Label
from service.core.outline import enclosed, joined, largest_outline, representative_slice
from service.dicom import codes, scu
from service.dicom.groups import Segmented
from service.dicom.gsps import write_gsps
from service.dicom.phantom import paraspinal_phantom
from service.dicom.planar import SIDES
from service.dicom.series import read_volume, scan
from service.dicom.synthesis import write_phantom
from tests.make import results
from tests.make.servers import find_program, start_orthanc
from tests.make.viewer import built_viewer, serve_viewer

#: As tall as the pane, so that one pixel of the image covers several of the screen.
SHAPE = {"slices": 8, "rows": 192, "columns": 208, "spacing_mm": (1.6, 1.6), "slice_step_mm": 12.0}
VIEWPORT = {"width": 1400, "height": 900}
#: Software WebGL: no graphics card is needed.
FLAGS = [
    *("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--ignore-gpu-blocklist", "--disable-background-networking", "--disable-component-update"),
]
SECONDS = 60_000


@dataclass(frozen=True, kw_only=True)
class Pane:
    """The pane of the viewer as a picture, and where an image of the series lies in it."""

    rgb: np.ndarray
    rows: int
    columns: int
    spacing_mm: tuple[float, float]

    def places(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Screen rows and columns of places in the image, (row, column) from its outer corner.

        The viewer fits the image into the pane and puts it into the middle.
        """
        height, width = self.rgb.shape[:2]
        row_mm, column_mm = self.spacing_mm
        scale = min(height / (self.rows * row_mm), width / (self.columns * column_mm))
        down = height / 2 + (points[:, 0] - self.rows / 2) * row_mm * scale
        right = width / 2 + (points[:, 1] - self.columns / 2) * column_mm * scale
        return np.rint(down).astype(int), np.rint(right).astype(int)

    def colours(self, inside: np.ndarray) -> np.ndarray:
        """The colours at the middle of each of these pixels of the image."""
        down, right = self.places(np.argwhere(inside) + 0.5)
        return self.rgb[down, right].astype(int)


pytestmark = pytest.mark.names_people("the viewer asks its archive by patient ID; no address of ours")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> results.World:
    files = write_phantom(tmp_path_factory.mktemp("series"), **SHAPE)
    (stack,) = scan(files).stacks
    labels = paraspinal_phantom(**SHAPE).labels
    mask = results.Mask(labels=labels, grid=stack.grid, fat_separated=True)
    assert stack.grid.normal[2] > 0
    return results.World(stack=stack, volume=read_volume(stack), mask=mask, files=tuple(files))


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    """The viewer with the study open: images, SEG, report in its planar form, capture, outlines."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium, dist = find_program("chromium"), built_viewer()
    folder = tmp_path_factory.mktemp("objects")
    objects = results.write_objects(made, folder)
    report = results.write_sr(
        made.stack,
        results.finding(made.mask),
        segs=[Segmented(seg=objects.seg, stack=made.stack)],
        others=[objects.capture],
        identity=results.IDENTITY,
        path=folder / "planar.dcm",
        form="planar",
        mask=made.mask,
    )
    outlines = write_gsps(made.stack, made.mask, identity=results.IDENTITY, path=folder / "gsps.dcm")
    sent = [*made.files, objects.seg.path, objects.capture.path, report.path, outlines.path]
    with start_orthanc(folder / "orthanc") as archive, serve_viewer(dist, archive.url) as url:
        address = scu.Address(
            host="127.0.0.1", port=archive.dicom_port, ae_title="ORTHANC", calling_ae="MYOSCREEN"
        )
        assert all(answer.stored for answer in scu.store(sent, address))
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            opened = browser.new_page(viewport=VIEWPORT)
            opened.goto(f"{url}/viewer?StudyInstanceUIDs={made.stack.facts.study_uid}")
            opened.get_by_text("MYOSCREEN: meas").first.wait_for(timeout=SECONDS)
            for button in ("Skip all", "Confirm and hide"):
                opened.get_by_text(button).first.click(timeout=SECONDS)
            yield opened
            browser.close()


def show(page, series: str) -> None:
    """Open one series in the pane."""
    page.get_by_text(series).first.dblclick(timeout=SECONDS)


def wait_for(page, made: results.World, seen, *, seconds: float = 30.0) -> Pane:
    """The pane as soon as ``seen`` of it holds; fails with the reason otherwise."""
    end = time.monotonic() + seconds
    while True:
        pane = look(page, made)
        try:
            seen(pane)
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return pane


def look(page, made: results.World) -> Pane:
    """A picture of the pane."""
    grid = made.stack.grid
    box = page.locator("[data-cy=viewport-pane]").first.bounding_box()
    picture = Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")
    return Pane(
        rgb=np.asarray(picture), rows=grid.rows, columns=grid.columns, spacing_mm=grid.pixel_spacing_mm
    )


def shown_slice(page) -> int:
    """Which slice of the stack the pane shows; the phantom numbers its images from the feet."""
    return int(re.search(r"I:\s*(\d+)", page.inner_text("body").replace("\n", " ")).group(1)) - 1


def eroded(inside: np.ndarray) -> np.ndarray:
    return ndimage.binary_erosion(inside, iterations=1)


def test_the_segmentation_lies_on_the_muscle_in_its_colours_and_its_segments_are_named(page, made):
    show(page, "MYOSCREEN: paraspin")
    page.get_by_text("Yes", exact=True).first.click(timeout=SECONDS)

    def drawn(pane: Pane) -> None:
        labels = made.mask.labels[shown_slice(page)]
        lean = np.isin(labels, (Label.LEAN_LEFT, Label.LEAN_RIGHT))
        fat = np.isin(labels, (Label.IMAT_LEFT, Label.IMAT_RIGHT))
        red = pane.colours(eroded(lean))
        assert np.median(red[:, 0] - red[:, 1]) > 20
        assert np.median(red[:, 0] - red[:, 2]) > 20
        yellow = pane.colours(eroded(fat))
        assert np.median(yellow[:, :2].min(axis=1) - yellow[:, 2]) > 40
        body = made.volume.values[shown_slice(page)] > 100
        grey = pane.colours(eroded(body) & ~ndimage.binary_dilation(labels > 0, iterations=2))
        assert np.mean(np.ptp(grey, axis=1) < 12) > 0.97
        left, right = (pane.colours(eroded(labels == label)) for label in (Label.LEAN_LEFT, Label.LEAN_RIGHT))
        assert np.median(left[:, 0]) > np.median(right[:, 0]), "the left side has the brighter red"

    wait_for(page, made, drawn)
    page.locator("[data-cy=side-panel-header-right]").first.click(timeout=SECONDS)
    names = codes.segment_labels(fat_separated=True)
    for label, name in names.items():
        row = page.get_by_text(name, exact=True).first
        row.wait_for(timeout=SECONDS)
        place = row.bounding_box()
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        beside = np.asarray(picture)[
            int(place["y"]) : int(place["y"] + place["height"]), int(place["x"]) - 30 : int(place["x"])
        ].reshape(-1, 3)
        nearest = np.abs(beside.astype(int) - codes.COLOUR_OF[label]).max(axis=1).min()
        assert nearest <= 6, f"the list shows {name} in another colour"


def test_the_numbers_of_the_report_stand_beside_the_outline_of_the_muscle(page, made):
    show(page, "MYOSCREEN: meas")
    index = representative_slice(made.mask.labels)
    labels = made.mask.labels[index]
    line = joined(*(largest_outline(np.isin(labels, side)) for side in SIDES))
    assert enclosed(line) > 500

    def outlined(pane: Pane) -> None:
        assert shown_slice(page) == index
        green = (pane.rgb[:, :, 1] > 150) & (pane.rgb[:, :, 0] < 110) & (pane.rgb[:, :, 2] < 110)
        # The line is dashed and less than a pixel of the image off (viewers differ in the pixel's origin).
        near = ndimage.binary_dilation(green, iterations=5)
        down, right = pane.places(line)
        assert near[down, right].mean() > 0.8

    wait_for(page, made, outlined)
    texts = " | ".join(page.locator("svg text").all_text_contents())
    measures = results.finding(made.mask).measures
    for name, value, unit in (
        ("Lean muscle left", measures.left.lmm_ml, "mL"),
        ("Lean muscle right", measures.right.lmm_ml, "mL"),
        ("IMAT share left", 100 * measures.left.imat_fraction, "%"),
        ("IMAT share right", 100 * measures.right.imat_fraction, "%"),
        ("IMAT share both", 100 * measures.total.imat_fraction, "%"),
    ):
        assert f"{name}: {value:.2f} {unit}" in texts


def test_the_capture_shows_its_banner(page, made):
    show(page, "MYOSCREEN: sum")

    def readable(pane: Pane) -> None:
        orange = (pane.rgb[:, :, 0] > 200) & (pane.rgb[:, :, 1] > 140) & (pane.rgb[:, :, 2] < 110)
        assert orange.sum() > 5000
        assert len(np.unique(pane.rgb.reshape(-1, 3), axis=0)) > 500

    wait_for(page, made, readable)
