"""A database that looks like a week in a hospital: every state of series, analyses and deliveries."""

import functools
import hashlib
import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from service.core.finding import (
    Asymmetry,
    Definition,
    Finding,
    Flag,
    Measures,
    ModelSection,
    PersonSection,
    ProfilePoint,
    QualityCheck,
    Score,
    SeriesInput,
    SeriesSection,
    SideMeasures,
)
from service.core.finding import (
    Output as FindingOutput,
)
from service.core.mask import COLOURS, Label
from service.core.status import AnalysisState, CompletionReason, DeliveryState, OutputKind, SeriesState
from service.db.session import Session, Sessions, make_sessions, upgrade
from service.db.tables import (
    Analysis,
    AnalysisInput,
    Counter,
    Delivery,
    Door,
    Event,
    Instance,
    Output,
    RejectedCaller,
    Series,
    Study,
)
from service.errors import Reason

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
PATIENT_NAME = "Muster^Erika"
PATIENT_ID = "PID-4711"
BIRTH_DATE = "19700131"
ACCESSION = "ACC-0815"
CT = "1.2.840.10008.5.1.4.1.1."
SOP_CLASSES = {
    OutputKind.SEG: CT + "66.4",
    OutputKind.SR: CT + "88.33",
    OutputKind.SC: CT + "7.4",
    OutputKind.PDF: CT + "104.1",
}


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The analyses to look at, by what they show."""

    flagged: int
    plain: int
    not_assessable: int
    not_eligible: int
    running: int
    ready: int
    failed: int
    superseded: int
    dead_delivery: int


def filled(folder: Path, *, now: datetime = NOW) -> tuple[Path, Ids]:
    """A HOME with a filled database on SQLite that nobody has open, to be copied, and what to look at."""
    home = folder / "home"
    url = f"sqlite:///{home / 'myoscreen.db'}"
    upgrade(url)
    sessions = make_sessions(url)
    ids = fill(sessions, home, now=now)
    sessions.kw["bind"].dispose()
    return home, ids


def fill(sessions: Sessions, home: Path, *, now: datetime = NOW, bulk: int = 0) -> Ids:
    """Fill an empty database and its result folders; ``bulk`` adds so many ordinary analyses before."""
    with sessions.begin() as session:
        for number in range(bulk):
            at = now - timedelta(days=3, minutes=7 * (bulk - number))
            _measured(session, home, f"9.{number}", at, imat=0.12 + number % 17 / 100, delivered=True)
        made = _week(session, home, now)
        _surroundings(session, now)
    return made


def _week(session: Session, home: Path, now: datetime) -> Ids:
    superseded = _measured(
        session, home, "1", now - timedelta(days=2), imat=0.31, raised=True, delivered=True
    )
    superseded.state = AnalysisState.SUPERSEDED
    flagged = _measured(
        session,
        home,
        "1",
        now - timedelta(hours=5),
        imat=0.312,
        raised=True,
        delivered=True,
        after=superseded,
    )
    plain = _measured(session, home, "2", now - timedelta(hours=4), imat=0.14, indeterminate=True)
    withheld = _new(session, "3", now - timedelta(hours=3), AnalysisState.NOT_ASSESSABLE)
    withheld.contrast, withheld.region = "t2_tse", "lumbar"
    _reason(withheld, "plausible_area", "Mean area left 1.2, right 1.3 cm2; expected 2 to 60.")
    _publish(session, home, withheld, kinds=(OutputKind.SR, OutputKind.SC))
    outside = _new(session, "4", now - timedelta(hours=2), AnalysisState.NOT_ELIGIBLE)
    _reason(outside, "wrong_plane", "The stack is sagittal; the network reads axial stacks.")
    failed = _new(session, "5", now - timedelta(hours=1), AnalysisState.FAILED)
    failed.reason_code, failed.reason_text = (
        "runner_crashed",
        "The runner ended by SIGKILL.",
    )
    failed.attempt = 3
    running = _new(session, "6", now - timedelta(minutes=2), AnalysisState.RUNNING)
    running.finished_at = None
    ready = _new(session, "7", now - timedelta(minutes=1), AnalysisState.READY)
    ready.started_at = ready.finished_at = None
    dead = _delivery_states(session, plain, now)
    return Ids(
        flagged=flagged.id,
        plain=plain.id,
        not_assessable=withheld.id,
        not_eligible=outside.id,
        running=running.id,
        ready=ready.id,
        failed=failed.id,
        superseded=superseded.id,
        dead_delivery=dead,
    )


def _surroundings(session: Session, now: datetime) -> None:
    study = Study(study_uid="1.2.3.99", created_at=now)
    session.add(study)
    session.flush()
    session.add(
        Series(
            study_id=study.id,
            series_uid="1.2.3.99.1",
            state=SeriesState.RECEIVING,
            first_at=now,
            last_at=now,
            calling_ae="MR1",
        )
    )
    for number, name in enumerate(("receiver", "worker", "web")):
        seen = now - timedelta(seconds=5 if name != "receiver" else 400)
        secure = {"tls": {"problem": "tls_files_unusable", "min_version": "1.2", "valid_until": None}}
        session.add(
            Door(
                name=name,
                host="radio-7",
                pid=400 + number,
                version="0.1.0",
                started_at=now,
                seen_at=seen,
                detail=secure if name == "receiver" else None,
            )
        )
    session.add_all(
        [Counter(name="own_results_dropped", value=12), Counter(name="instances_refused_disk", value=3)]
    )
    times = {"first_at": now, "last_at": now}
    session.add(
        RejectedCaller(
            calling_ae='MR "2"',
            called_ae="MYOSCREEN",
            address="10.0.8.15",
            reason="tls_subject_unknown",
            tls_subject="CN=mr2",
            count=4,
            **times,
        )
    )
    session.add(
        RejectedCaller(
            calling_ae="", called_ae="", address="10.0.8.66", reason="tls_certificate_expired", **times
        )
    )


def _new(
    session: Session, key: str, at: datetime, state: AnalysisState, *, after: Analysis | None = None
) -> Analysis:
    if after is None:
        study = Study(
            study_uid=f"1.2.3.{key}",
            patient_id=PATIENT_ID if key == "1" else f"PID-{key}",
            patient_name=PATIENT_NAME if key == "1" else f"Beispiel^Person {key}",
            birth_date=BIRTH_DATE if key == "1" else "19610704",
            sex="F",
            accession_number=ACCESSION if key == "1" else f"ACC-{key}",
            study_date=at.strftime("%Y%m%d"),
            description="MR spine",
            created_at=at,
        )
        series = Series(
            study=study,
            series_uid=f"1.2.3.{key}.1",
            state=SeriesState.CLOSED,
            modality="MR",
            description="t2_tse_tra",
            calling_ae="MR1",
            completion_reason=CompletionReason.QUIET,
            first_at=at - timedelta(seconds=100),
            last_at=at - timedelta(seconds=70),
            closed_at=at - timedelta(seconds=8),
        )
        for number in range(3):
            series.instances.append(
                Instance(
                    sop_instance_uid=f"1.2.3.{key}.1.{number}",
                    sop_class_uid=CT + "4",
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    path=f"{key}/{number}",
                    sha256="0" * 64,
                    size=1,
                    received_at=at,
                )
            )
        session.add_all([study, series])
        session.flush()
    else:
        study, series = after.study, after.inputs[0].series
    analysis = Analysis(
        study=study,
        input_digest=hashlib.sha256(key.encode()).hexdigest(),
        version=1 if after is None else after.version + 1,
        supersedes_id=None if after is None else after.id,
        state=state,
        attempt=1,
        object_time=at,
        created_at=at,
        started_at=at + timedelta(seconds=1),
        finished_at=at + timedelta(seconds=42),
    )
    analysis.inputs = [AnalysisInput(series_id=series.id, role="image", stack=0)]
    session.add(analysis)
    session.flush()
    for seconds, name in ((0, "analysis_ready"), (1, "analysis_started")):
        session.add(
            Event(
                at=at + timedelta(seconds=seconds), name=name, analysis_id=analysis.id, detail={"attempt": 1}
            )
        )
    return analysis


def _reason(analysis: Analysis, code: str, text: str) -> None:
    analysis.reason_code, analysis.reason_text = code, text
    finding = make_finding(imat=0.2, status=str(analysis.state), reasons=(Reason(code, text),))
    analysis.finding = {**finding.as_dict(), "measures": None, "scores": [], "flags": [], "quadrant": None}


def _measured(
    session: Session,
    home: Path,
    key: str,
    at: datetime,
    *,
    imat: float,
    raised: bool = False,
    indeterminate: bool = False,
    delivered: bool = False,
    after: Analysis | None = None,
) -> Analysis:
    analysis = _new(session, key, at, AnalysisState.MEASURED, after=after)
    analysis.contrast, analysis.region = "t2_tse", "lumbar"
    state = "raised" if raised else "indeterminate" if indeterminate else "not_raised"
    analysis.finding = make_finding(imat=imat, flag=state).as_dict()
    analysis.flagged = raised
    analysis.timings = {"read": 0.8, "segment": 31.25, "measure": 0.4, "write": 4.1}
    outputs = _publish(session, home, analysis, kinds=tuple(SOP_CLASSES))
    if delivered:
        for output in outputs:
            sent = at + timedelta(seconds=50)
            _delivery(session, output, DeliveryState.CONFIRMED, at, status=0, sent_at=sent, confirmed_at=sent)
    return analysis


def _publish(
    session: Session, home: Path, analysis: Analysis, *, kinds: tuple[OutputKind, ...]
) -> list[Output]:
    folder = f"results/{analysis.id}/attempt-1"
    (home / folder).mkdir(parents=True)
    (home / folder / "overlay.png").write_bytes(picture(seed=analysis.id))
    (home / folder / "report.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    analysis.result_path = folder
    outputs = []
    for number, kind in enumerate(kinds):
        content = b"\0" * 128 + b"DICM" + f"{kind} {analysis.id}".encode()
        path = f"{folder}/{kind.lower()}.dcm"
        (home / path).write_bytes(content)
        outputs.append(
            Output(
                analysis_id=analysis.id,
                kind=kind,
                sop_class_uid=SOP_CLASSES[kind],
                sop_instance_uid=f"2.25.{10**30 + 10 * analysis.id + number}",
                path=path,
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
            )
        )
    session.add_all(outputs)
    session.flush()
    return outputs


def _delivery(
    session: Session,
    output: Output,
    state: DeliveryState,
    at: datetime,
    *,
    status: int | None = None,
    **more: Any,
) -> Delivery:
    delivery = Delivery(
        output_id=output.id,
        analysis_id=output.analysis_id,
        peer="pacs",
        state=state,
        attempts=more.pop("attempts", 1),
        dimse_status=status,
        created_at=at,
        **more,
    )
    session.add(delivery)
    session.flush()
    return delivery


def _delivery_states(session: Session, analysis: Analysis, now: datetime) -> int:
    seg, sr, sc, pdf = sorted(analysis.outputs, key=lambda output: output.id)
    _delivery(session, seg, DeliveryState.SENT, now, status=0, sent_at=now - timedelta(hours=3))
    _delivery(session, sr, DeliveryState.SENDING, now)
    _delivery(
        session,
        sc,
        DeliveryState.PENDING,
        now,
        attempts=3,
        next_at=now + timedelta(minutes=5),
        error_code="peer_unreachable",
        error_text="The peer does not answer.",
    )
    return _delivery(
        session,
        pdf,
        DeliveryState.DEAD,
        now,
        status=0xA700,
        attempts=20,
        error_code="store_refused",
        error_text="The peer refused the object.",
    ).id


def _side(factor: float, imat: float) -> SideMeasures:
    compartment = 412.0 * factor
    return SideMeasures(
        compartment_ml=compartment,
        lmm_ml=compartment * (1 - imat),
        imat_ml=compartment * imat,
        imat_fraction=imat,
        mean_csa_cm2=20.6 * factor,
        mean_lean_csa_cm2=20.6 * factor * (1 - imat),
        fat_signal_fraction=None,
    )


def make_finding(
    *, imat: float, flag: str = "not_raised", status: str = "measured", reasons: tuple[Reason, ...] = ()
) -> Finding:
    """A finding with this IMAT share; the two flags are ``flag`` and not evaluable."""
    z = (imat - 0.16) / 0.08
    return Finding(
        status=status,  # type: ignore[arg-type]
        reasons=reasons,
        definition=Definition(
            id="paraspinal-compartment",
            version="1",
            network="paraspinal",
            boundary_rule="fascia",
            fat_method="reference-percentile",
        ),
        series=SeriesSection(
            study_uid="1.2.3.1",
            series_uid="1.2.3.1.1",
            inputs=(SeriesInput(role="image", series_uid="1.2.3.1.1", stack=0),),
            plane="axial",
            contrast="t2_tse",
            region="lumbar",
            slices=40,
            coverage_mm=200.0,
            spacing_mm=(5.0, 0.625, 0.625),
        ),
        person=PersonSection(
            age_years=56.0,
            age_source="PatientAge",
            sex="F",
            sex_source="PatientSex",
            height_m=None,
            height_source=None,
        ),
        measures=Measures(
            left=_side(0.51, imat),
            right=_side(0.49, imat),
            total=_side(1.0, imat),
            asymmetry=Asymmetry(compartment_ml=0.02, imat_fraction=0.0),
            lmm_height_index_ml_m2=None,
            profile=(
                ProfilePoint(
                    position_mm=0.0, left_lean_cm2=9, left_fat_cm2=2, right_lean_cm2=9, right_fat_cm2=2
                ),
            ),
        ),
        scores=(
            Score(
                measure="imat_fraction",
                value=imat,
                value_ci95=(imat - 0.02, imat + 0.02),
                unit="1",
                state="scored",
                reason=None,
                z=z,
                z_ci95=(z - 0.4, z + 0.4),
                percentile=97.1,
                percentile_ci95=(93.0, 99.0),
                norm="demonstration-imat@1",
                norm_status="demonstration",
            ),
            Score(
                measure="lmm_height_index_ml_m2",
                value=None,
                value_ci95=None,
                unit="mL/m2",
                state="missing_demographics",
                reason="PatientSize (height) is missing.",
                z=None,
                z_ci95=None,
                percentile=None,
                percentile_ci95=None,
                norm=None,
                norm_status=None,
            ),
        ),
        flags=(
            Flag(
                code="imat_high",
                state=flag,
                text=_flag_text(flag, z),
            ),  # type: ignore[arg-type]
            Flag(
                code="lmm_low", state="not_evaluable", text="Not evaluable: PatientSize (height) is missing."
            ),
        ),
        quadrant=None,
        quality=(
            QualityCheck(check="both_sides_found", passed=True, detail="Found: left, right."),
            QualityCheck(
                check="predicted_dice",
                passed=True,
                detail="Predicted Dice 0.93 (95 % interval 0.89 to 0.96); at least 0.80 expected.",
                predicted_dice=0.93,
            ),
        ),
        model=ModelSection(
            name="paraspinal",
            version="1.0.0",
            sha256="0f" * 32,
            provider="CPUExecutionProvider",
            precision="fp32",
        ),
        norms=("demonstration-imat@1 (demonstration)",),
        policy="default@1",
        software="myoscreen 0.1.0",
        outputs=(FindingOutput(kind="SEG", sop_instance_uid="2.25.1", path="seg.dcm"),),
    )


def _flag_text(state: str, z: float) -> str:
    """What the service says of the flag of IMAT."""
    if state == "raised":
        what = "The share of intermuscular fat lies above the reference range"
        return f"{what} (z {z:+.2f}, limit z above +1.00)."
    if state == "indeterminate":
        return f"Indeterminate: the interval of z {z:+.2f} spans the limit (z above +1.00)."
    return f"Not raised (z {z:+.2f}, limit z above +1.00). This is no statement about risk."


@functools.cache
def picture(*, seed: int, width: int = 320, height: int = 240) -> bytes:
    """A PNG with two muscles on a grey ground, so that a page has something to show."""
    y, x = np.indices((height, width))
    right = ((x - 105) / 38) ** 2 + ((y - 150) / 52) ** 2
    left = ((x - 215) / 38) ** 2 + ((y - 150) / 52) ** 2
    body = ((x - 160) / 150) ** 2 + ((y - 120) / 112) ** 2
    grey = np.where(body > 1, 0, 62 + (x * 7 + y * 13 + seed) % 23)
    pixels = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    pixels[right < 1] = COLOURS[Label.LEAN_RIGHT]
    pixels[left < 1] = COLOURS[Label.LEAN_LEFT]
    # Every row of a PNG begins with the number of its filter; 0 is none.
    rows = [b"\0" + row.tobytes() for row in pixels]

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"".join(rows), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
