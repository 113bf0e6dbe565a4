"""The REST interface against a real SQLite file."""

import hashlib
import json
import tomllib
from datetime import datetime

import pytest
from fastapi.routing import APIRoute

from service.core.circuit import DEFAULT_TERMS
from service.core.status import AnalysisState, DeliveryState
from service.db import circuits, commitments_in
from service.db.tables import Analysis, Delivery, Output
from service.errors import Reason
from service.web.auth import Needs
from tests.make import ledger

PATIENT = (ledger.PATIENT_NAME, ledger.PATIENT_ID, ledger.BIRTH_DATE, ledger.ACCESSION, "Muster", "Erika")
PUBLIC = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/login",
    "/login/oidc",
    "/login/oidc/callback",
    "/language",
    "/favicon.ico",
}


def routes(router, prefix=""):
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes(route.original_router)


def dependencies(dependant):
    for inner in dependant.dependencies:
        yield inner.call
        yield from dependencies(inner)


def test_every_route_states_a_permission_or_is_public(world):
    found = list(routes(world.client().app))
    assert len(found) > 25
    for route in found:
        stated = [call for call in dependencies(route.dependant) if isinstance(call, Needs)]
        assert bool(stated) != (route.path in PUBLIC), route.path


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_monitoring_is_public_and_names_nobody(world, path):
    answer = world.client().get(path)
    assert answer.status_code == 200
    assert not any(word in answer.text for word in PATIENT)


@pytest.mark.parametrize("part", ["spool", "broker", "model"])
def test_not_ready_says_why(world, part):
    world.broken.add(part)
    answer = world.client().get("/readyz")
    assert answer.status_code == 503
    (bad,) = [check for check in answer.json()["checks"] if not check["ok"]]
    assert bad["name"] == part
    assert bad["reason"]


def test_a_lost_database_is_not_ready_and_still_has_metrics(world):
    with world.sessions.begin() as session:
        session.connection().exec_driver_sql("ALTER TABLE analyses RENAME TO gone")
    client = world.client()
    assert client.get("/readyz").json()["checks"][0]["code"] == "database_unreachable"
    assert "myoscreen_database_up 0.0" in client.get("/metrics").text
    answer = world.program("viewer").get("/api/v1/analyses")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unreachable")


def test_without_key_or_login_there_is_a_problem_and_no_data(world):
    for path in ("/api/v1/status", "/api/v1/analyses", "/api/v1/audit", "/api/openapi.json"):
        answer = world.client().get(path)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "login_needed"


@pytest.mark.parametrize(
    "header", ["Bearer myo_wrong", "Bearer ", "Basic YTpi", "myo_x", "Bearer " + "x" * 9999]
)
def test_a_wrong_key_opens_nothing(world, header):
    assert world.client().get("/api/v1/status", headers={"Authorization": header}).status_code == 401


ALLOWED = {
    ("GET", "/api/v1/status"): {"viewer", "operator", "admin", "auditor"},
    ("GET", "/api/v1/peers"): {"viewer", "operator", "admin", "auditor"},
    ("GET", "/api/v1/analyses"): {"viewer", "operator", "admin"},
    ("GET", "/api/v1/analyses/{flagged}"): {"viewer", "operator", "admin"},
    ("GET", "/api/v1/analyses/{flagged}/finding"): {"viewer", "operator", "admin"},
    ("GET", "/api/v1/analyses/{flagged}/events"): {"viewer", "operator", "admin"},
    ("GET", "/api/v1/analyses/{flagged}/outputs/sr"): {"viewer", "operator", "admin"},
    ("GET", "/api/v1/deliveries"): {"viewer", "operator", "admin"},
    ("POST", "/api/v1/peers/pacs/echo"): {"operator", "admin"},
    ("POST", "/api/v1/peers/pacs/reset"): {"operator", "admin"},
    ("POST", "/api/v1/peers/pacs/retry"): {"operator", "admin"},
    ("POST", "/api/v1/peers/nobody/give-up"): {"operator", "admin"},
    ("POST", "/api/v1/analyses/{failed}/rerun"): {"operator", "admin"},
    ("POST", "/api/v1/deliveries/{dead_delivery}/retry"): {"operator", "admin"},
    ("GET", "/api/v1/audit"): {"admin", "auditor"},
}


def test_each_role_may_do_what_it_is_for_and_nothing_else(world):
    for (method, path), allowed in ALLOWED.items():
        for role in ("viewer", "operator", "admin", "auditor"):
            status = world.program(role).request(method, path.format(**vars(world.ids))).status_code
            assert (status != 403) == (role in allowed), (method, path, role)


def test_the_list_names_nobody_and_pages_by_cursor(world):
    client = world.program("viewer")
    seen, cursor = [], None
    for _ in range(20):
        answer = client.get("/api/v1/analyses", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        assert not any(word in answer.text for word in PATIENT)
        seen += [item["id"] for item in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == 8


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "failed"}, {"failed"}),
        ({"state": ["ready", "running"]}, {"ready", "running"}),
        ({"flag": "imat_high"}, {"flagged", "superseded"}),
        ({"flag": "raised", "state": "measured"}, {"flagged"}),
        ({"flag": "lmm_low"}, set()),
        ({"flag": "none"}, {"plain"}),
        ({"uid": "1.2.3.1"}, {"flagged", "superseded"}),
        ({"uid": "1.2.3.3.1"}, {"not_assessable"}),
        ({"uid": "9.9"}, set()),
        ({"from": "2026-11-20T14:28:30Z"}, {"ready"}),
        ({"to": "2026-11-19T00:00:00Z"}, {"superseded"}),
    ],
)
def test_the_list_can_be_filtered(world, query, expected):
    items = world.program("viewer").get("/api/v1/analyses", params=query).json()["items"]
    assert {item["id"] for item in items} == {getattr(world.ids, name) for name in expected}


@pytest.mark.parametrize(
    "query",
    [{"state": "gone"}, {"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"uid": "a;b"}, {"from": "soon"}],
)
def test_a_bad_parameter_is_a_problem_that_echoes_nothing(world, query):
    answer = world.program("viewer").get("/api/v1/analyses", params=query)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_parameter"
    assert "a;b" not in answer.text


def test_the_detail_carries_the_patient_and_is_recorded(world):
    answer = world.program("viewer").get(f"/api/v1/analyses/{world.ids.flagged}")
    assert answer.json()["patient"]["patient_name"] == ledger.PATIENT_NAME
    assert [item["version"] for item in answer.json()["versions"]] == [1, 2]
    assert world.actions()[-1] == ("key:viewer", "analysis_viewed", "ok")


def test_an_output_is_the_stored_bytes(world):
    client = world.program("viewer")
    for output in client.get(f"/api/v1/analyses/{world.ids.flagged}").json()["outputs"]:
        answer = client.get(output["href"])
        assert answer.headers["content-type"] == "application/dicom"
        assert hashlib.sha256(answer.content).hexdigest() == output["sha256"]


@pytest.mark.parametrize("kind", ["xyz", "gsps", "..%2f..%2fmyoscreen.db", "seg.dcm"])
def test_an_output_of_another_kind_is_not_found(world, kind):
    assert (
        world.program("admin").get(f"/api/v1/analyses/{world.ids.flagged}/outputs/{kind}").status_code == 404
    )


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "results/../../outside"])
def test_a_path_that_leads_out_of_home_is_not_read(world, tmp_path, path):
    (tmp_path / "outside").write_bytes(b"secret")
    with world.sessions.begin() as session:
        session.query(Output).filter_by(analysis_id=world.ids.flagged, kind="SEG").one().path = path
    answer = world.program("admin").get(f"/api/v1/analyses/{world.ids.flagged}/outputs/seg")
    assert (answer.status_code, answer.json()["code"]) == (410, "output_missing")


def test_a_changed_file_is_not_handed_out(world):
    folder = world.home / "results" / str(world.ids.flagged) / "attempt-1"
    (folder / "seg.dcm").write_bytes(b"other")
    answer = world.program("admin").get(f"/api/v1/analyses/{world.ids.flagged}/outputs/seg")
    assert (answer.status_code, answer.json()["code"]) == (500, "output_changed")


def test_a_finding_that_is_not_there_yet_is_not_found(world):
    answer = world.program("viewer").get(f"/api/v1/analyses/{world.ids.running}/finding")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_finding")
    found = world.program("viewer").get(f"/api/v1/analyses/{world.ids.flagged}/finding").json()
    assert found["schema"] == "myoscreen.finding/1"


def test_a_rerun_is_the_next_version_of_the_same_stacks_and_waits_for_a_worker(world):
    client = world.program("operator")
    answer = client.post(f"/api/v1/analyses/{world.ids.flagged}/rerun")
    assert answer.status_code == 202
    new = client.get(answer.json()["href"]).json()
    assert (new["state"], new["version"], new["supersedes_id"]) == ("ready", 3, world.ids.flagged)
    assert [item["series_uid"] for item in new["inputs"]] == ["1.2.3.1.1"]
    with world.sessions() as session:
        old = session.get_one(Analysis, world.ids.flagged)
        assert old.state == AnalysisState.MEASURED
        assert session.get_one(Analysis, new["id"]).object_time == old.object_time
    again = client.post(f"/api/v1/analyses/{world.ids.flagged}/rerun")
    assert (again.status_code, again.json()["code"]) == (409, "already_waiting")
    assert ("key:operator", "rerun_ordered", "ok") in world.actions()


def test_a_given_up_delivery_is_sent_again_but_a_stored_one_is_not(world):
    client = world.program("operator")
    assert client.post(f"/api/v1/deliveries/{world.ids.dead_delivery}/retry").status_code == 202
    with world.sessions() as session:
        delivery = session.get_one(Delivery, world.ids.dead_delivery)
        assert (delivery.state, delivery.next_at) == (DeliveryState.PENDING, world.now)
    stored = client.get("/api/v1/deliveries", params={"state": "sent"}).json()["items"][0]["id"]
    assert client.post(f"/api/v1/deliveries/{stored}/retry").json()["code"] == "not_retryable"
    assert client.post("/api/v1/deliveries/999/retry").status_code == 404


def close_off(world, peer="pacs"):
    """Have a peer be away since just now."""
    reason = Reason("peer_unreachable", "No connection to the peer could be made.")
    with world.sessions.begin() as session:
        for _ in range(DEFAULT_TERMS.failures):
            circuits.note_unreachable(
                session, peer, reason=reason, terms=DEFAULT_TERMS, now=world.now, spread=1.0
            )


def test_a_peer_that_cannot_be_reached_is_told_with_its_reason_and_reset_by_a_person(world):
    client = world.program("operator")

    def circuit():
        (shown,) = [peer for peer in client.get("/api/v1/peers").json()["items"] if peer["name"] == "pacs"]
        assert shown in client.get("/api/v1/status").json()["peers"]
        return shown["circuit"]

    assert (circuit()["state"], circuit()["since"]) == ("closed", None)
    close_off(world)
    told = circuit()
    assert (told["state"], told["failures"], told["reason_code"]) == ("open", 5, "peer_unreachable")
    assert told["reason_text"] == "No connection to the peer could be made."
    assert datetime.fromisoformat(told["since"]) == world.now
    assert 'myoscreen_peer_circuit_open{peer="pacs"} 1.0' in client.get("/metrics").text
    assert client.post("/api/v1/peers/pacs/reset").json() == {"peer": "pacs", "circuit": "closed"}
    assert (circuit()["state"], circuit()["reason_code"]) == ("closed", None)
    assert 'myoscreen_peer_circuit_open{peer="pacs"} 0.0' in client.get("/metrics").text
    assert ("key:operator", "peer_circuit_reset", "ok") in world.actions()
    assert client.post("/api/v1/peers/nobody/reset").status_code == 404


def test_everything_that_was_given_up_for_a_peer_is_sent_again_by_one_call(world):
    client = world.program("operator")
    dead = client.get("/api/v1/deliveries", params={"state": "dead", "peer": "pacs"}).json()["items"]
    answer = client.post("/api/v1/peers/pacs/retry")
    assert (answer.status_code, answer.json()) == (202, {"peer": "pacs", "deliveries": len(dead)})
    assert client.get("/api/v1/deliveries", params={"state": "dead", "peer": "pacs"}).json()["items"] == []
    assert client.post("/api/v1/peers/nobody/retry").status_code == 404
    assert ("key:operator", "peer_retry_ordered", "ok") in world.actions()


def test_what_waits_for_a_peer_can_be_given_up_also_when_the_settings_know_it_no_more(world):
    client = world.program("operator")
    with world.sessions.begin() as session:
        row = session.query(Delivery).filter_by(state="dead").first()
        row.state, row.peer, row.next_at, number = "pending", "gone", world.now, row.id
    assert client.post("/api/v1/peers/gone/give-up").json() == {"peer": "gone", "deliveries": 1}
    (item,) = client.get("/api/v1/deliveries", params={"peer": "gone"}).json()["items"]
    assert (item["id"], item["state"], item["error_code"]) == (number, "dead", "given_up_by_person")
    assert ("key:operator", "peer_given_up", "ok") in world.actions()
    assert client.post("/api/v1/peers/gone/give-up").status_code == 404
    assert client.post("/api/v1/peers/pacs/give-up").status_code == 200


def test_sent_and_confirmed_are_two_states_everywhere(world):
    client = world.program("viewer")

    def counts():
        (peer,) = [peer for peer in client.get("/api/v1/peers").json()["items"] if peer["name"] == "pacs"]
        return peer["deliveries"]

    before = counts()
    with world.sessions.begin() as session:
        row = session.query(Delivery).filter_by(state="sent", peer="pacs").first()
        row.state, row.confirmed_at = "confirmed", world.now
        number = row.id
    assert counts().get("sent", 0) == before["sent"] - 1
    assert counts()["confirmed"] == before.get("confirmed", 0) + 1
    confirmed = client.get("/api/v1/deliveries", params={"state": "confirmed"}).json()["items"]
    assert number in {item["id"] for item in confirmed if item["confirmed_at"] is not None}
    sent = client.get("/api/v1/deliveries", params={"state": "sent"}).json()["items"]
    assert number not in {item["id"] for item in sent}


def test_a_delivery_of_a_superseded_result_is_not_sent_again(world):
    with world.sessions.begin() as session:
        output = session.query(Output).filter_by(analysis_id=world.ids.superseded, kind="SEG").one()
        delivery = output.deliveries[0]
        delivery.state = DeliveryState.DEAD
        number = delivery.id
    assert world.program("admin").post(f"/api/v1/deliveries/{number}/retry").json()["code"] == "superseded"


def test_an_echo_reaches_the_peer_of_the_settings_only(world):
    client = world.program("operator")
    assert client.post("/api/v1/peers/pacs/echo").json()["ok"] is True
    assert world.echoed == [("127.0.0.1", 4242, "ORTHANC", "MYOSCREEN")]
    assert client.post("/api/v1/peers/mr1/echo").json()["code"] == "peer_without_port"
    assert client.post("/api/v1/peers/10.0.0.1/echo").status_code == 404
    world.broken.add("peer")
    answer = client.post("/api/v1/peers/pacs/echo")
    assert (answer.status_code, answer.json()["code"]) == (502, "peer_unreachable")


def test_the_status_tells_what_monitoring_needs_and_names_nobody(world):
    answer = world.program("auditor").get("/api/v1/status")
    status = answer.json()
    assert status["queue_depth"] == 2
    assert status["oldest_waiting_seconds"] == 60.0
    assert status["funnel"] == {
        "received": 8,
        "complete": 7,
        "eligible": 3,
        "measured": 2,
        "flagged": 1,
        "delivered": 1,
        "confirmed": 1,
    }
    assert {door["name"]: door["alive"] for door in status["doors"]} == {
        "receiver": False,
        "web": True,
        "worker": True,
    }
    assert status["counters"]["own_results_dropped"] == 12
    assert status["last_failure"]["code"] == "runner_crashed"
    assert status["peers"][0]["deliveries"]["dead"] == 1
    rejected = {caller["address"]: caller for caller in status["rejected_callers"]}
    assert tomllib.loads(rejected["10.0.8.15"]["peer_block"])["peer"][0]["tls_subject"] == "CN=mr2"
    assert rejected["10.0.8.66"]["peer_block"] is None
    assert "expired" in rejected["10.0.8.66"]["remedy"]
    assert not any(word in answer.text for word in PATIENT)


def test_a_rerun_with_the_same_objects_counts_as_delivered(world):
    with world.sessions.begin() as session:
        for kind in ("SEG", "SR", "SC", "PDF"):
            old = session.query(Output).filter_by(analysis_id=world.ids.superseded, kind=kind).one()
            new = session.query(Output).filter_by(analysis_id=world.ids.flagged, kind=kind).one()
            new.sop_instance_uid = old.sop_instance_uid
            session.query(Delivery).filter_by(output_id=new.id).delete()
    client = world.program("viewer")
    assert client.get("/api/v1/status").json()["funnel"]["delivered"] == 1
    shown = client.get(f"/api/v1/analyses/{world.ids.flagged}").json()["deliveries"]
    assert {item["analysis_id"] for item in shown} == {world.ids.superseded}


def test_questions_about_storage_commitment_are_counted_by_state(world):
    its = {"peer": "scanner", "transaction_uid": "1.2.3", "objects": {"1.2": "1.3"}, "now": world.now}
    with world.sessions.begin() as session:
        first = commitments_in.ask(session, digest="a", **its)
        commitments_in.ask(session, digest="b", **its)
        commitments_in.note_answered(session, first, committed=1, failed=0, now=world.now)
    client = world.program("viewer")
    assert client.get("/api/v1/status").json()["commitments"] == {"answered": 1, "open": 1}
    assert 'myoscreen_commitments{state="open"} 1.0' in client.get("/metrics").text


def test_the_audit_record_can_be_filtered_and_its_reading_is_recorded(world):
    world.program("viewer").get(f"/api/v1/analyses/{world.ids.flagged}")
    client = world.program("auditor")
    items = client.get("/api/v1/audit", params={"action": "analysis_viewed"}).json()["items"]
    assert [(item["actor"], item["object_id"]) for item in items] == [("key:viewer", str(world.ids.flagged))]
    assert ("key:auditor", "audit_viewed", "ok") in world.actions()


def test_the_audit_record_holds_no_patient_data(world):
    client = world.program("admin")
    for path in ("", "/events", "/finding", "/outputs/sr"):
        client.get(f"/api/v1/analyses/{world.ids.flagged}{path}")
    assert not any(word in client.get("/api/v1/audit", params={"limit": 200}).text for word in PATIENT)


def test_metrics_are_labelled_by_route_and_never_by_id(world):
    client = world.program("viewer")
    client.get(f"/api/v1/analyses/{world.ids.flagged}")
    client.request("BREW", "/api/v1/nothing")
    text = client.get("/metrics").text
    assert 'route="/api/v1/analyses/{analysis_id}",status="200"' in text
    assert 'myoscreen_analyses{state="measured"} 2.0' in text
    assert "BREW" not in text


def test_openapi_describes_every_route_of_the_contract(world):
    paths = json.loads(world.program("viewer").get("/api/openapi.json").text)["paths"]
    assert {
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/status",
        "/api/v1/activations",
        "/api/v1/activations/{activation_id}/confirm",
        "/api/v1/activations/{activation_id}/refuse",
        "/api/v1/activations/{activation_id}/roll-back",
        "/api/v1/funnel",
        "/api/v1/population",
        "/api/v1/funnel/studies",
        "/api/v1/analyses",
        "/api/v1/analyses/{analysis_id}",
        "/api/v1/analyses/{analysis_id}/events",
        "/api/v1/analyses/{analysis_id}/finding",
        "/api/v1/analyses/{analysis_id}/outputs/{kind}",
        "/api/v1/analyses/{analysis_id}/hold",
        "/api/v1/analyses/{analysis_id}/release",
        "/api/v1/analyses/{analysis_id}/reissue",
        "/api/v1/analyses/{analysis_id}/rerun",
        "/api/v1/analyses/{analysis_id}/rescore",
        "/api/v1/analyses/{analysis_id}/replay",
        "/api/v1/analyses/{analysis_id}/slices",
        "/api/v1/analyses/{analysis_id}/slices/{place}",
        "/api/v1/analyses/{analysis_id}/drawings/{place}",
        "/api/v1/analyses/{analysis_id}/withdraw",
        "/api/v1/analyses/{analysis_id}/reviews",
        "/api/v1/analyses/{analysis_id}/flags",
        "/api/v1/reviews",
        "/api/v1/worklist",
        "/api/v1/holds",
        "/api/v1/rules",
        "/api/v1/opt-outs",
        "/api/v1/opt-outs/remove",
        "/api/v1/deliveries",
        "/api/v1/deliveries/{delivery_id}/retry",
        "/api/v1/peers",
        "/api/v1/peers/{name}/echo",
        "/api/v1/peers/{name}/reset",
        "/api/v1/peers/{name}/retry",
        "/api/v1/peers/{name}/give-up",
        "/api/v1/audit",
        "/api/v1/audit/export",
        "/api/v1/openings",
        "/dicomweb/studies",
        "/dicomweb/studies/{study_uid}",
    } == set(paths)


def test_unknown_paths_and_methods_are_problems(world):
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("DELETE", "/api/v1/analyses", 405)):
        answer = world.client().request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_crash_is_told_without_its_reason_and_with_our_headers(world):
    world.settings.spool_dir.parent.joinpath("x")
    client = world.program("viewer")
    client.app.state.web = None
    answer = client.get("/api/v1/status")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["cache-control"] == "no-store"
