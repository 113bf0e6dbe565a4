"""What programs ask for again and again: tags that say nothing changed, and lists page by page."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from service.db import retention
from service.db.tables import Analysis, Event, FlagHandling, OptOut, Review, Study
from service.web.etags import matches
from tests.make.web import copy_world

POLLED = (
    "/api/v1/status",
    "/api/v1/analyses",
    "/api/v1/analyses/{flagged}",
    "/api/v1/deliveries",
    "/api/v1/peers",
    "/api/v1/funnel",
)


@pytest.mark.parametrize("path", POLLED)
def test_who_has_the_newest_content_is_told_so_without_it(world, path):
    client = world.program("admin")
    path = path.format(**vars(world.ids))
    first = client.get(path)
    world.wait(seconds=2)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == "no-store"
    assert "content-length" not in again.headers
    other = client.get(path, headers={"If-None-Match": '"another"'})
    assert (other.status_code, set(other.json())) == (200, set(first.json()))


@pytest.mark.parametrize("path", POLLED)
def test_what_changed_has_another_tag(world, path):
    client = world.program("admin")
    tag = client.get(path.format(**vars(world.ids))).headers["etag"]
    if path == "/api/v1/peers":
        assert client.post("/api/v1/peers/pacs/retry").json()["deliveries"] == 1
    else:
        client.post(f"/api/v1/analyses/{world.ids.flagged}/withdraw", json={"reason": "other"})
        client.post(f"/api/v1/deliveries/{world.ids.dead_delivery}/retry")
    again = client.get(path.format(**vars(world.ids)), headers={"If-None-Match": tag})
    assert again.status_code == 200
    assert again.headers["etag"] != tag


def test_a_trouble_that_grows_older_is_no_change_and_another_one_is(world):
    """Monitoring asks most often while something is wrong."""
    client = world.program("monitor")

    def troubles(answer):
        return {each["code"]: each["what"] for each in answer.json()["troubles"]}

    with world.sessions.begin() as session:
        running = update(Analysis).where(Analysis.state == "running")
        session.execute(running.values(started_at=world.now - timedelta(minutes=50)))
    first = client.get("/api/v1/status")
    world.wait(seconds=7)
    later = client.get("/api/v1/status")
    assert troubles(first)["runs_too_long"] != troubles(later)["runs_too_long"]
    assert later.headers["etag"] == first.headers["etag"]
    with world.sessions.begin() as session:
        session.execute(running.values(state="superseded"))
    ended = client.get("/api/v1/status")
    assert "runs_too_long" not in troubles(ended)
    assert ended.headers["etag"] != first.headers["etag"]


def test_a_look_that_brings_no_content_is_recorded_all_the_same(world):
    client = world.program("viewer")
    path = f"/api/v1/analyses/{world.ids.flagged}"
    client.get(path, headers={"If-None-Match": client.get(path).headers["etag"]})
    assert [action for _, action, _ in world.actions()].count("analysis_viewed") == 2


def test_only_answers_of_json_that_succeeded_have_a_tag(world):
    client = world.program("viewer")
    seg = f"/api/v1/analyses/{world.ids.flagged}/outputs/seg"
    for path in ("/api/v1/nothing", "/status", seg, "/readyz"):
        assert "etag" not in client.get(path).headers
    refused = world.client().get("/api/v1/analyses", headers={"If-None-Match": "*"})
    assert refused.status_code == 401


@pytest.mark.parametrize(
    ("handed_back", "fits"),
    [
        (['"a"'], True),
        (['W/"a"'], True),
        (['"b", W/"a"'], True),
        (['"b"', '"a"'], True),
        (["*"], True),
        (['"b"'], False),
        (["a"], False),
        ([], False),
    ],
)
def test_tags_are_compared_weakly(handed_back, fits):
    assert matches('"a"', handed_back) is fits
    assert matches('W/"a"', handed_back) is fits


def pages_of(client, path, *, limit):
    """The items of a list, got page by page; how many pages that took."""
    items, cursor, count = [], None, 0
    while True:
        answer = client.get(path, params={"limit": limit} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page, count, cursor = answer.json(), count + 1, answer.json()["next_cursor"]
        assert 0 < len(page["items"]) <= limit
        items += page["items"]
        if cursor is None:
            return items, count


@pytest.fixture(scope="module")
def filled(template, tmp_path_factory):
    """Seven of everything that a list may hold."""
    world = copy_world(template, tmp_path_factory.mktemp("filled") / "home")
    with world.sessions.begin() as db:
        studies = [study.id for study in db.query(Study).order_by(Study.id).limit(7)]
        for number in range(7):
            at = world.now
            db.add(
                OptOut(patient_key=f"{number:064}", issuer_key="", made_with="k", reason="", actor="t", at=at)
            )
            told = {"analysis_id": world.ids.flagged, "actor": "t", "at": at, "comment": str(number)}
            db.add(Review(**told, verdict="accept"))
            db.add(FlagHandling(**told, step="comment"))
            db.add(Event(analysis_id=world.ids.flagged, at=at, name="replayed", detail={"n": number}))
        for study in studies:
            retention.set_hold(db, study, reason="r", actor="t", now=world.now)
    yield world
    world.sessions.kw["bind"].dispose()


LISTS = {
    "holds": ("/api/v1/holds", "study_uid"),
    "opt-outs": ("/api/v1/opt-outs", "id"),
    "events": ("/api/v1/analyses/{flagged}/events", "id"),
    "reviews": ("/api/v1/analyses/{flagged}/reviews", "id"),
    "flags": ("/api/v1/analyses/{flagged}/flags", "id"),
    "analyses": ("/api/v1/analyses", "id"),
    "deliveries": ("/api/v1/deliveries", "id"),
    "worklist": ("/api/v1/worklist", "analysis_id"),
    "audit": ("/api/v1/audit", "id"),
}


@pytest.mark.parametrize("name", LISTS)
def test_every_list_comes_page_by_page_and_whole(filled, name):
    path, key = LISTS[name]
    client = filled.program("admin")
    path = path.format(**vars(filled.ids))
    whole = [item[key] for item in client.get(path, params={"limit": 200}).json()["items"]]
    items, count = pages_of(client, path, limit=2)
    shown = [item[key] for item in items]
    if name == "audit":  # It grows by each look, at its newest end.
        whole, shown = [one for one in whole if one in shown], [one for one in shown if one in whole]
    assert shown == whole
    assert len(set(shown)) == len(shown)
    assert count >= min(len(whole), 3) // 2


def test_head_is_answered_as_get_without_the_content(world):
    """Load balancers and programs that look whether something is there ask so (RFC 9110 9.3.2)."""
    client = world.program("viewer")
    for path in (
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/rules",
        "/",
        f"/api/v1/analyses/{world.ids.flagged}",
    ):
        asked, got = client.head(path), client.get(path)
        assert (asked.status_code, asked.content) == (got.status_code, b""), path
        assert asked.headers["content-type"] == got.headers["content-type"]
        assert asked.headers.get("etag") == got.headers.get("etag")
    assert world.actions()[-2:] == [("key:viewer", "analysis_viewed", "ok")] * 2
    assert world.client().head("/api/v1/analyses").status_code == 401
    assert client.head("/nowhere").status_code == 404
    posts = client.head(f"/api/v1/analyses/{world.ids.flagged}/rerun")
    assert (posts.status_code, posts.headers["allow"], posts.content) == (405, "POST", b"")
    assert client.post("/api/v1/status").headers["allow"] == "GET, HEAD"
    text = client.get("/metrics").text
    assert 'myoscreen_http_requests_total{method="HEAD",route="/healthz",status="200"} 1.0' in text
