"""A result slice by slice, without a browser: who may look, what there is, and what a purge leaves."""

import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from service.db import retention as rows
from service.db.session import reading
from service.db.tables import Analysis, Instance, Series
from service.pipeline.retention import Terms, purge
from service.pipeline.slicefiles import IMAGES_NAME, read_index
from service.web.slices import _areas
from tests.make.slices import SHAPE, write_slices

HERE = "/api/v1/analyses/{}"


def folder_of(world, name="flagged"):
    with reading(world.sessions) as session:
        return world.home / session.get_one(Analysis, getattr(world.ids, name)).result_path


@pytest.fixture
def kept(world):
    write_slices(folder_of(world))
    write_slices(folder_of(world, "not_assessable"), drawn=False)
    return world


def path_of(world, name="flagged"):
    return HERE.format(getattr(world.ids, name))


def test_a_program_gets_the_slices_and_their_pictures(kept):
    client = kept.program("viewer")
    found = client.get(path_of(kept) + "/slices").json()
    assert [each["place"] for each in found["items"]] == list(range(1, SHAPE[0] + 1))
    assert found["items"][3]["height_mm"] == 15.0
    assert set(found["colours"]) == {"LEAN_LEFT", "LEAN_RIGHT", "IMAT_LEFT", "IMAT_RIGHT"}
    assert found["items"][0]["drawing"] is None
    one = found["items"][3]
    image = Image.open(io.BytesIO(client.get(one["image"]).content))
    drawing = Image.open(io.BytesIO(client.get(one["drawing"]).content))
    assert (image.mode, image.size) == ("L", (SHAPE[2], SHAPE[1]))
    assert drawing.size == (one["width"], one["height"])
    assert drawing.convert("RGBA").getpixel((0, 0))[3] == 0


def test_the_areas_of_a_slice_are_those_of_the_finding(kept):
    items = kept.program("viewer").get(path_of(kept) + "/slices").json()["items"]
    assert all(each["areas"] is None for each in items), "the finding of this world counts another slice"
    with kept.sessions.begin() as session:
        row = session.get_one(Analysis, kept.ids.flagged)
        point = {**row.finding["measures"]["profile"][0], "position_mm": 15.0}
        measures = {**row.finding["measures"], "profile": [point]}
        row.finding = {**row.finding, "measures": measures}
    items = kept.program("viewer").get(path_of(kept) + "/slices").json()["items"]
    assert [each["place"] for each in items if each["areas"]] == [4]
    assert items[3]["areas"]["left_lean_cm2"] == 9


def test_a_picture_may_be_kept_by_its_own_browser_which_asks_each_time(kept):
    client = kept.program("viewer")
    address = path_of(kept) + "/slices/4"
    first = client.get(address)
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["content-type"] == "image/png"
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(path_of(kept) + "/slices/5", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200
    assert kept.client().get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 401


@pytest.mark.parametrize("what", ["slices", "slices/4", "drawings/4"])
def test_who_may_not_see_results_sees_no_slice(kept, what):
    assert kept.client().get(f"{path_of(kept)}/{what}").status_code == 401
    assert kept.program("auditor").get(f"{path_of(kept)}/{what}").status_code == 403


@pytest.mark.parametrize(
    "what", ["slices/0", "slices/10", "slices/-1", "slices/x", "slices/..%2f1", "drawings/1"]
)
def test_what_is_not_there_is_not_found(kept, what):
    assert kept.program("viewer").get(f"{path_of(kept)}/{what}").status_code in {404, 422}


def test_a_result_path_that_leads_out_of_home_shows_nothing(kept, tmp_path):
    write_slices(tmp_path)
    with kept.sessions.begin() as session:
        session.get_one(Analysis, kept.ids.flagged).result_path = "../"
    assert kept.program("viewer").get(path_of(kept) + "/slices").status_code == 404
    assert kept.program("viewer").get(path_of(kept) + "/slices/4").status_code == 404


def test_looking_through_a_stack_is_one_line_of_the_record(kept):
    client = kept.program("viewer")
    for place in range(1, 8):
        client.get(f"{path_of(kept)}/slices/{place}")
    assert [action for _, action, _ in kept.actions()].count("slices_viewed") == 1
    kept.wait(minutes=15)
    client.get(path_of(kept) + "/slices/4")
    assert [action for _, action, _ in kept.actions()].count("slices_viewed") == 2


def test_a_look_that_could_not_be_written_down_shows_nothing_and_is_written_down_the_next_time(
    kept, monkeypatch
):
    client = kept.program("viewer")

    def away(*_args, **_kwargs):
        raise OSError("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr("service.web.slices.api.note_access", away)
        assert client.get(path_of(kept) + "/slices/4").status_code == 500
    assert client.get(path_of(kept) + "/slices/4").status_code == 200
    assert [action for _, action, _ in kept.actions()].count("slices_viewed") == 1


def test_a_slice_that_another_station_counts_has_no_areas_of_its_own(kept):
    point = {"position_mm": 15.0, "left_lean_cm2": 9.0, "left_fat_cm2": 1.0}
    point |= {"right_lean_cm2": 9.0, "right_fat_cm2": 1.0}
    both = [replace(read_index(folder_of(kept)).slices[3], elsewhere=each) for each in (False, True)]
    assert [_areas(each, [point]) is None for each in both] == [False, True]


def test_without_scripts_links_go_through_the_slices(kept):
    browser = kept.program("viewer")
    page = f"/analyses/{kept.ids.flagged}"
    shown = browser.get(page).text
    assert f'src="{path_of(kept)}/slices/6"' in shown, "the middle of what is drawn on"
    links = dict(re.findall(r'data-step="(\w+)" href="([^"#]+)#slices"', shown.replace("&amp;", "&")))
    assert links == {
        "first": "?slice=1&overlay=1",
        "down": "?slice=5&overlay=1",
        "up": "?slice=7&overlay=1",
        "last": "?slice=9&overlay=1",
        "toggle": "?slice=6&overlay=0",
    }
    bare = browser.get(page + links["toggle"]).text
    assert f'src="{path_of(kept)}/slices/6"' in bare
    assert "/drawings/" not in bare
    last = browser.get(page + "?slice=400").text
    assert f'src="{path_of(kept)}/slices/9"' in last
    assert f'href="?slice={SHAPE[0]}&amp;overlay=1#slices" aria-disabled="true">Uppermost' in last
    assert browser.get(page + "?slice=0").status_code == 422
    assert browser.get(page + "?slice=4&overlay=2").status_code == 422


def test_a_withheld_result_shows_its_images_and_says_why_nothing_is_drawn(kept):
    shown = kept.program("viewer").get(f"/analyses/{kept.ids.not_assessable}").text
    assert f'src="{path_of(kept, "not_assessable")}/slices/5"' in shown
    assert "/drawings/" not in shown
    assert "The result is withheld, so no drawing is shown." in shown


def test_a_result_of_an_earlier_release_says_that_it_has_no_slices(world):
    shown = world.program("viewer").get(f"/analyses/{world.ids.flagged}").text
    assert "No pictures of the slices are kept of this result." in shown
    assert "slices.js" not in shown


def test_with_the_received_images_the_pictures_go_and_the_drawing_stays(kept):
    """As long as a picture cannot be removed, the rows do not forget the images."""
    with kept.sessions.begin() as session:
        series = session.get_one(Analysis, kept.ids.flagged).inputs[0].series
        series.pixels_purged_at = kept.now
    obstacle = folder_of(kept) / IMAGES_NAME
    whole = obstacle.read_bytes()
    obstacle.unlink()
    obstacle.mkdir()
    assert purge(kept.sessions, kept.home, Terms.in_days(pixels=9999), now=kept.now) is not None
    assert paths_of(kept)
    obstacle.rmdir()
    obstacle.write_bytes(whole)
    purge(kept.sessions, kept.home, Terms.in_days(pixels=9999), now=kept.now)
    assert not obstacle.exists()
    assert not paths_of(kept)
    client = kept.program("viewer")
    assert client.get(path_of(kept) + "/slices/4").status_code == 404
    assert client.get(path_of(kept) + "/drawings/4").status_code == 200
    shown = kept.program("viewer").get(f"/analyses/{kept.ids.flagged}").text
    assert "What is left is the drawing." in shown
    assert f'src="{path_of(kept)}/drawings/6"' in shown
    assert (folder_of(kept, "not_assessable") / IMAGES_NAME).exists()


def paths_of(world):
    """Paths of images that the rows of the purged study still name."""
    with reading(world.sessions) as session:
        series = session.get_one(Analysis, world.ids.flagged).inputs[0].series_id
        query = session.query(Instance).filter(Instance.series_id == series, Instance.path != "")
        return [each.path for each in query]


def test_a_hold_keeps_the_pictures(kept):
    with kept.sessions.begin() as session:
        analysis = session.get_one(Analysis, kept.ids.flagged)
        session.get_one(Series, analysis.inputs[0].series_id).pixels_purged_at = kept.now
        rows.set_hold(session, analysis.study_id, reason="court", actor="anna", now=kept.now)
    purge(kept.sessions, kept.home, Terms.in_days(pixels=9999), now=kept.now)
    assert (folder_of(kept) / IMAGES_NAME).exists()


def test_once_the_results_are_gone_the_numbers_are_what_is_left(kept):
    with kept.sessions.begin() as session:
        row = session.get_one(Analysis, kept.ids.flagged)
        row.results_purged_at, row.result_path = kept.now, None
    shown = kept.program("viewer").get(f"/analyses/{kept.ids.flagged}").text
    assert "What is left are the numbers." in shown
    assert "31.2 %" in shown
    assert f'href="{path_of(kept)}/outputs/seg"' not in shown


def test_the_link_to_the_viewer_opens_apart_and_only_where_it_is_set(kept):
    page = f"/analyses/{kept.ids.flagged}"
    assert "viewer.example" not in kept.program("viewer").get(page).text
    pattern = "https://viewer.example/v?study={study_uid}"
    kept.settings = kept.settings.model_copy(update={"viewer_url": pattern})
    shown = kept.program("viewer").get(page).text
    link = 'href="https://viewer.example/v?study=1.2.3.1" target="_blank" rel="noopener noreferrer"'
    assert link in shown


def test_a_replay_is_ordered_by_the_page_once_and_by_who_may(kept):
    page = f"/analyses/{kept.ids.flagged}"
    assert "/replay" not in kept.program("viewer").get(page).text
    browser = kept.browser("otto")
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(page).text)[1]
    assert browser.post(f"{page}/replay", data={"csrf_token": "forged"}).status_code == 403
    done = browser.post(f"{page}/replay", data={"csrf_token": token})
    assert done.headers["location"] == f"{page}?notice=replay_ordered"
    assert "A replay is ordered by otto" in browser.get(page).text
    again = kept.program("operator").post(path_of(kept) + "/replay")
    assert (again.status_code, again.json()["code"]) == (409, "replay_waiting")
    assert kept.program("viewer").post(path_of(kept) + "/replay").status_code == 403
    assert ("otto", "replay_ordered", "ok") in kept.actions()
    assert kept.program("operator").post(HERE.format(10**9) + "/replay").status_code == 404


def test_two_versions_stand_side_by_side_with_their_differences(kept):
    shown = kept.program("viewer").get(f"/compare/{kept.ids.superseded}/{kept.ids.flagged}").text
    assert "0.20 percentage points" in shown, "31.0 % became 31.2 %"
    for each in (kept.ids.superseded, kept.ids.flagged):
        assert f'src="/analyses/{each}/pictures/overlay.png"' in shown
