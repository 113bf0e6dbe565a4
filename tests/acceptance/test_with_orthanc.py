"""The real volunteer goes from a PACS through the service and back, judged by other people's programs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest

from service.dicom.series import scan
from tests.make.data import data_dir
from tests.make.running import RunningService, running_service, wait_for
from tests.make.servers import Orthanc, start_orthanc
from tests.make.tools import run, storescu
from tests.make.tum01 import write_tum01

pytestmark = pytest.mark.skipif(data_dir() is None, reason="no real data (MYOSCREEN_TEST_DATA)")

SOP_CLASSES = {
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "SR": "1.2.840.10008.5.1.4.1.1.88.34",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
    "PDF": "1.2.840.10008.5.1.4.1.1.104.1",
}


@dataclass(frozen=True)
class Played:
    """One study that went through."""

    service: RunningService
    orthanc: Orthanc
    folder: Path
    sources: list[Path]
    #: The objects as Orthanc gives them back, by SOP class name.
    returned: dict[str, Path]
    finding: dict


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("orthanc")
    sources = write_tum01(data_dir(), folder / "source")
    with start_orthanc(folder / "orthanc") as orthanc:
        peers = (
            orthanc.settings(),
            {"name": "sender", "ae_title": "SENDER", "host": "127.0.0.1"},
        )
        with running_service(folder / "home", peers=peers) as service:
            storescu(orthanc.dicom_port, sources, called=orthanc.ae_title)
            storescu(service.dicom_port, sources)
            (analysis,) = service.await_states("measured")
            wait_for("delivery", lambda: _all_sent(service))
            finding = service.get(f"/api/v1/analyses/{analysis['id']}/finding")
            returned = _fetch(orthanc, folder / "returned")
            yield Played(service, orthanc, folder, sources, returned, finding)


def _all_sent(service: RunningService) -> bool:
    states = [item["state"] for item in service.get("/api/v1/deliveries")["items"]]
    return len(states) == 4 and set(states) <= {"sent", "confirmed"}


def _fetch(orthanc: Orthanc, folder: Path) -> dict[str, Path]:
    """Our objects out of Orthanc, by kind."""
    folder.mkdir()
    kinds = {uid: kind for kind, uid in SOP_CLASSES.items()}
    found = {}
    for instance in orthanc.get("/instances"):
        content = orthanc.get_bytes(f"/instances/{instance}/file")
        path = folder / f"{instance}.dcm"
        path.write_bytes(content)
        kind = kinds.get(str(pydicom.dcmread(path, specific_tags=["SOPClassUID"]).SOPClassUID))
        if kind is None:
            path.unlink()
        else:
            found[kind] = path
    return found


def test_seg_sr_capture_and_pdf_lie_in_the_same_study_of_the_pacs(played):
    assert set(played.returned) == set(SOP_CLASSES)
    assert len(played.orthanc.get("/studies")) == 1
    study_uid = str(pydicom.dcmread(played.sources[0]).StudyInstanceUID)
    for path in played.returned.values():
        assert pydicom.dcmread(path).StudyInstanceUID == study_uid


@pytest.mark.parametrize("kind", SOP_CLASSES)
def test_dciodvfy_reports_no_error(played, kind):
    done = run("dciodvfy", "-new", played.returned[kind], check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert errors == []


def test_dcmqi_reads_the_segmentation_and_counts_the_same_volumes(played):
    out = played.folder / "dcmqi"
    out.mkdir()
    run(
        "segimage2itkimage",
        "--inputDICOM",
        played.returned["SEG"],
        "--outputDirectory",
        out,
        "--outputType",
        "nrrd",
    )
    meta = json.loads((out / "meta.json").read_text("utf-8"))
    assert len(meta["segmentAttributes"]) == 4


def test_dcmqi_reads_the_structured_report(played):
    target = played.folder / "sr.json"
    run("tid1500reader", "--inputDICOM", played.returned["SR"], "--outputMetadata", target)
    groups = json.loads(target.read_text("utf-8"))["Measurements"]
    numbers = [item["value"] for group in groups for item in group.get("measurementItems", [])]
    total = played.finding["measures"]["left"]["lmm_ml"]
    assert any(abs(float(number) - total) < 0.01 * total for number in numbers)


def test_the_segmentation_stands_where_the_images_stand(played):
    seg = pydicom.dcmread(played.returned["SEG"])
    sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in played.sources]
    assert seg.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    places = {tuple(float(value) for value in source.ImagePositionPatient) for source in sources}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        place = tuple(float(value) for value in frame.PlanePositionSequence[0].ImagePositionPatient)
        assert min(np.linalg.norm(np.subtract(place, other)) for other in places) < 0.01


def test_left_is_at_larger_x_and_volumes_are_those_of_the_finding(played):
    seg = pydicom.dcmread(played.returned["SEG"])
    shared = seg.SharedFunctionalGroupsSequence[0]
    row_mm, column_mm = (float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing)
    along_row = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient[:3], float)
    along_column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient[3:], float)
    step_mm = played.finding["series"]["spacing_mm"][0]
    points: dict[int, list[np.ndarray]] = {1: [], 2: [], 3: [], 4: []}
    for pixels, frame in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        origin = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(pixels)
        place = origin + rows[:, None] * row_mm * along_column + columns[:, None] * column_mm * along_row
        points[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber].append(place)
    joined = {number: np.concatenate(parts) for number, parts in points.items()}
    assert joined[1][:, 0].mean() > joined[2][:, 0].mean() + 30
    assert joined[3][:, 0].mean() > joined[4][:, 0].mean()
    voxel_ml = row_mm * column_mm * step_mm / 1000
    measures = played.finding["measures"]
    for number, (side, measure) in enumerate(
        [("left", "lmm_ml"), ("right", "lmm_ml"), ("left", "imat_ml"), ("right", "imat_ml")], start=1
    ):
        assert len(joined[number]) * voxel_ml == pytest.approx(measures[side][measure], rel=1e-3)


def test_analyse_without_any_server_finds_the_same(played):
    out = played.folder / "analysed"
    done = played.service.command("analyse", str(played.folder / "source"), "--out", str(out))
    assert done.returncode == 0, done.stderr
    alone = json.loads((out / "finding.json").read_text("utf-8"))
    # The identifiers of objects differ: the time in an object is that of the service's ledger.
    assert {**alone, "outputs": None} == {**played.finding, "outputs": None}


def test_the_whole_study_sent_back_starts_nothing_new(played):
    (study,) = played.orthanc.get("/studies")
    before = played.service.get("/api/v1/status")
    httpx.put(
        f"{played.orthanc.url}/modalities/service",
        json={"AET": "MYOSCREEN", "Host": "127.0.0.1", "Port": played.service.dicom_port},
    ).raise_for_status()
    played.orthanc.post("/modalities/service/store", [study])
    status = wait_for("our results to be dropped", lambda: _dropped(played.service))
    assert status["counters"]["own_results_dropped"] == 4
    assert status["funnel"]["received"] == before["funnel"]["received"]
    assert len(played.service.analyses()) == 1
    assert len(scan(played.sources).stacks) == 1


def _dropped(service: RunningService) -> dict | None:
    status = service.get("/api/v1/status")
    return status if status["counters"].get("own_results_dropped", 0) >= 4 else None
