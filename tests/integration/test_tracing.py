"""Spans are told beside the work: off by default, dropped where nobody takes them, never of a patient."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service import tracing
from service.core.status import AnalysisState
from service.db.session import make_sessions
from service.db.tables import Analysis, Event, Series
from service.pipeline import traces
from service.settings import load
from service.tracing import Place, Span
from tests.make import ledger
from tests.make.running import wait_for
from tests.make.spans import span_receiver

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
#: The example of W3C Trace Context, 3.2.
CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _off_again():
    yield
    tracing.stop()


@pytest.fixture
def receiver():
    with span_receiver() as running:
        yield running


def span(name="work", **changes):
    place = Place.of(CONTEXT)
    values = {
        "name": name,
        "place": place.child(),
        "parent": place,
        "start": NOW,
        "end": NOW,
        "attributes": {},
    }
    return Span(**{**values, **changes})


def told(receiver):
    """Everything that this process had to tell, by name."""
    tracing.stop()
    return {each.name: each for each in receiver.spans}


def test_a_context_is_that_of_the_w3c():
    place = Place.of(CONTEXT)
    assert str(place) == CONTEXT
    assert f"{place.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    child = Place.of(tracing.continued(CONTEXT))
    assert child.trace_id == place.trace_id
    assert child.span_id not in (0, place.span_id)
    assert tracing.continued(None) is None


def test_off_by_default_nothing_is_loaded_and_no_row_has_a_trace(tmp_path):
    assert load(home=tmp_path).tracing_target is None
    tracing.start(None, door="worker")
    assert tracing.begun() is None
    tracing.tell(span())
    # The API alone comes with another library.
    code = (
        "import sys, service.pipeline.traces\n"
        "parts = ('opentelemetry.sdk', 'opentelemetry.exporter')\n"
        "sys.exit(any(name.startswith(parts) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_a_span_arrives_with_its_times_place_and_outcome(receiver, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    secret = tmp_path / "secret"
    secret.write_text("Bearer s3cret\n")
    tracing.start({"endpoint": receiver.endpoint, "authorization_file": secret}, door="worker")
    place = Place.new()
    attributes = {"peer": "pacs", "sent": 4, "flag": True}
    end = NOW + timedelta(seconds=1.5)
    tracing.tell(span("first", place=place, parent=None, end=end, attributes=attributes))
    tracing.tell(span("second", place=place.child(), parent=place, end=NOW - timedelta(seconds=9), ok=False))
    found = told(receiver)
    first, second = found["first"], found["second"]
    assert (first.trace, first.id) == (f"{place.trace_id:032x}", f"{place.span_id:016x}")
    assert (first.parent, second.parent) == ("", first.id)
    assert (first.start, first.end - first.start) == (int(NOW.timestamp()) * 10**9, 1_500_000_000)
    assert (first.ok, second.ok) == (True, False)
    # A clock that was set back gives no span of negative length.
    assert second.end == second.start
    assert first.attributes == attributes
    assert first.door == "myoscreen-worker"
    assert {"Bearer s3cret"} <= set(receiver.headers[0].values())


def test_a_receiver_that_hangs_delays_nothing_and_what_is_too_much_is_dropped(receiver):
    receiver.go_on.clear()
    tracing.start({"endpoint": receiver.endpoint}, door="worker")
    for _ in range(3000):
        tracing.tell(span())
    wait_for("the first request", lambda: receiver.headers)
    # It still hangs, and all have been told, and the process may end.
    tracing.stop()
    assert receiver.spans == []
    receiver.go_on.set()
    wait_for("what was on its way", lambda: receiver.spans)
    assert len(receiver.spans) <= 2048 + 256


@pytest.mark.parametrize("status", [503, 400])
def test_a_receiver_that_refuses_or_is_not_there_harms_nothing(receiver, status):
    receiver.status = status
    tracing.start({"endpoint": receiver.endpoint}, door="worker")
    tracing.tell(span())
    tracing.stop()
    tracing.start({"endpoint": "http://127.0.0.1:9/v1/traces"}, door="worker")
    tracing.tell(span())
    tracing.stop()
    assert receiver.spans == []


def test_what_cannot_be_set_up_is_told_and_stops_nothing(tmp_path, monkeypatch, caplog):
    target = {"endpoint": "http://127.0.0.1:9/v1/traces", "authorization_file": tmp_path / "missing"}
    tracing.start(target, door="worker")
    monkeypatch.setitem(sys.modules, "service.tracing.otlp", None)
    tracing.start({"endpoint": "http://127.0.0.1:9/v1/traces"}, door="worker")
    assert [record.message for record in caplog.records] == ["tracing_not_started", "tracing_not_installed"]
    assert not tracing.is_on()


def test_what_breaks_while_telling_never_reaches_the_work(receiver, caplog):
    tracing.start({"endpoint": receiver.endpoint}, door="worker")
    tracing.tell(span(start=None))
    traces.closed(None, [1], NOW)
    traces.told(None, 1, "delivery", NOW)
    assert {record.message for record in caplog.records} == {"span_not_told"}


# From the ledger


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A filled ledger, to be copied."""
    return ledger.filled(tmp_path_factory.mktemp("made"), now=NOW)


@pytest.fixture
def world(tmp_path, receiver, made):
    """A filled ledger whose flagged analysis and its series have a trace."""
    home, ids = tmp_path / "home", made[1]
    shutil.copytree(made[0], home)
    sessions = make_sessions(f"sqlite:///{home / 'myoscreen.db'}")
    with sessions.begin() as session:
        analysis = session.get_one(Analysis, ids.flagged)
        series = analysis.inputs[0].series
        series.trace, analysis.trace = CONTEXT, tracing.continued(CONTEXT)
        series_id = series.id
    tracing.start({"endpoint": receiver.endpoint}, door="worker")
    yield sessions, ids.flagged, series_id
    sessions.kw["bind"].dispose()


def change(sessions, table, number, **values):
    with sessions.begin() as session:
        row = session.get_one(table, number)
        for name, value in values.items():
            setattr(row, name, value)


def test_a_published_analysis_is_told_with_its_steps_one_after_the_other(world, receiver):
    sessions, analysis_id, _ = world
    timings = {"read": 1.0, "network": 2.5}
    change(sessions, Analysis, analysis_id, started_at=NOW, finished_at=NOW, timings=timings)
    traces.attempted(sessions, analysis_id, NOW, published=True)
    found = told(receiver)
    assert set(found) == {"analysis", "attempt", "wait", "step read", "step network"}
    assert found["analysis"].parent == "b7ad6b7169203331"
    assert found["wait"].parent == found["attempt"].parent == found["analysis"].id
    steps = [found["step read"], found["step network"]]
    assert {step.parent for step in steps} == {found["attempt"].id}
    assert steps[0].end == steps[1].start
    assert steps[1].end - steps[1].start == 2_500_000_000
    assert ledger.PATIENT_ID not in repr(found)
    assert ledger.PATIENT_NAME not in repr(found)


def test_an_attempt_that_failed_is_told_with_its_code_and_no_result(world, receiver):
    sessions, analysis_id, _ = world
    failed = {"state": AnalysisState.READY, "reason_code": "runner_crashed", "attempt": 2}
    change(sessions, Analysis, analysis_id, started_at=NOW, **failed)
    traces.attempted(sessions, analysis_id, NOW, published=False)
    found = told(receiver)
    assert set(found) == {"attempt"}
    assert not found["attempt"].ok
    assert found["attempt"].attributes["code"] == "runner_crashed"
    assert found["attempt"].attributes["attempt"] == 2


def test_an_attempt_of_somebody_else_is_not_told_here(world, receiver):
    sessions, analysis_id, _ = world
    change(sessions, Analysis, analysis_id, started_at=NOW - timedelta(seconds=1))
    traces.attempted(sessions, analysis_id, NOW, published=False)
    change(sessions, Analysis, analysis_id, started_at=NOW, state=AnalysisState.RUNNING)
    traces.attempted(sessions, analysis_id, NOW, published=False)
    assert told(receiver) == {}


def test_a_series_that_is_opened_again_begins_its_trace_once(world, receiver):
    sessions, _, series_id = world
    change(sessions, Series, series_id, closed_at=NOW, first_at=NOW - timedelta(minutes=1))
    traces.closed(sessions, [series_id], NOW)
    with sessions.begin() as session:
        session.add(Event(at=NOW, name="series_reopened", series_id=series_id))
    traces.closed(sessions, [series_id], NOW)
    tracing.stop()
    assert sorted(receiver.names()) == ["close", "close", "series"]
    root = next(each for each in receiver.spans if each.name == "series")
    assert (root.id, root.parent) == ("b7ad6b7169203331", "")


def test_rows_without_a_trace_are_not_told(world, receiver):
    sessions, analysis_id, _ = world
    with sessions.begin() as session:
        others = session.scalars(select(Analysis.id).where(Analysis.id != analysis_id)).all()
    for other in others:
        traces.told(sessions, other, "delivery", NOW, peer="pacs")
    traces.told(sessions, analysis_id, "delivery", NOW, ok=False, peer="pacs")
    found = told(receiver)
    assert list(found) == ["delivery"]
    assert (found["delivery"].ok, found["delivery"].attributes["peer"]) == (False, "pacs")


def test_each_association_tells_what_came_of_each_series(world, receiver):
    sessions, _, series_id = world
    with sessions.begin() as session:
        uid = session.get_one(Series, series_id).series_uid
    visits = traces.Visits(sessions)
    for series_uid in (uid, "1.2.3.unknown", uid):
        visits.note(series_uid, "SCANNER", NOW)
    visits.end()
    visits.end()
    found = told(receiver)
    assert receiver.names() == ["association"]
    assert found["association"].attributes == {
        "series.id": series_id, "images": 2, "calling_ae": "SCANNER",
    }  # fmt: skip
