"""The funnel's page and its part of the interface: one set of numbers, in words, for whom they are meant."""

import re

from tests.make import ledger
from tests.make.ledger import PATIENT_ID

PATIENT = (PATIENT_ID, ledger.ACCESSION, "Muster", "Erika", "1970-01-31")


def plain(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_page_status_and_interface_give_the_same_numbers(world):
    client = world.program("viewer")
    status, funnel = client.get("/api/v1/status").json(), client.get("/api/v1/funnel").json()
    assert funnel["steps"] == status["funnel"]
    assert funnel["losses"] == status["losses"]
    assert funnel["under_way"] == 3
    page = plain(world.browser("vera").get("/funnel?window=all").text)
    for name, number in (
        ("Received", 8),
        ("Complete", 7),
        ("Eligible", 3),
        ("Measured", 2),
        ("Delivered", 1),
    ):
        assert re.search(rf" {name} {number} \d+ % ", page), name
    assert "not eligible Not axial. wrong_plane 1" in page
    assert "delivery given up At least one object did not reach a peer" in page


def test_losses_are_told_by_step_with_the_reason_in_words(world):
    losses = world.program("auditor").get("/api/v1/funnel?language=de").json()["losses"]
    told = [(loss["step"], loss["reason"], loss["text"], loss["count"]) for loss in losses]
    assert ("eligible", "wrong_plane", "Nicht axial.", 1) in told
    assert ("eligible", None, "Wartet auf einen Worker.", 1) in told
    assert [loss["step"] for loss in losses] == sorted(
        (loss["step"] for loss in losses), key=["complete", "eligible", "measured", "delivered"].index
    )


def test_a_window_holds_what_began_to_arrive_in_it(world):
    client = world.program("viewer")
    received = {
        window: client.get(f"/api/v1/funnel?window={window}").json()["steps"]["received"]
        for window in ("hour", "day", "all")
    }
    # The failed one began to arrive an hour and 100 seconds ago, the flagged one two days ago.
    assert received == {"hour": 3, "day": 7, "all": 8}
    assert client.get("/api/v1/funnel?window=year").status_code == 422


def test_a_number_leads_to_its_studies_page_by_page(world):
    client = world.program("viewer")
    one = client.get("/api/v1/funnel/studies?place=not_eligible&reason=wrong_plane").json()["items"]
    assert [(study["study_uid"], study["senders"]) for study in one] == [("1.2.3.4", ["MR1"])]
    (thing,) = one[0]["things"]
    assert thing["analysis_id"] == world.ids.not_eligible
    assert (thing["text"], thing["detail"]) == (
        "Not axial.",
        "The stack is sagittal; the network reads axial stacks.",
    )
    seen, query = [], "/api/v1/funnel/studies?limit=3"
    while True:
        answer = client.get(query).json()
        seen += [study["study_uid"] for study in answer["items"]]
        if answer["next_cursor"] is None:
            break
        query = f"/api/v1/funnel/studies?limit=3&cursor={answer['next_cursor']}"
    assert len(seen) == len(set(seen)) == 8
    assert client.get("/api/v1/funnel/studies?place=nowhere").status_code == 422


def test_studies_are_for_who_may_see_results_and_name_nobody(world):
    auditor, viewer = world.program("auditor"), world.program("viewer")
    assert auditor.get("/api/v1/funnel/studies").status_code == 403
    answer = viewer.get("/api/v1/funnel/studies")
    assert answer.status_code == 200
    page = world.browser("audrey").get("/funnel?window=all")
    assert page.status_code == 200
    assert "1.2.3.4" not in page.text
    assert "#studies" not in page.text
    for text in (answer.text, page.text, world.browser("vera").get("/funnel?window=all").text):
        assert not any(word in text for word in PATIENT)


def test_the_list_is_written_into_the_audit_record(world):
    world.browser("vera").get("/funnel")
    lines = world.program("auditor").get("/api/v1/audit?action=funnel_studies_listed").json()["items"]
    assert [line["actor"] for line in lines] == ["vera"]


def test_the_page_speaks_german_where_the_browser_prefers_it(world):
    german = world.browser("vera").get("/funnel?window=all", headers={"Accept-Language": "de-DE,de;q=0.9"})
    assert "Trichter" in german.text
    assert '<html lang="de">' in german.text
    assert "Nicht axial." in german.text


def test_a_page_of_one_reason_says_which_and_leads_back(world):
    page = world.browser("vera").get("/funnel?window=all&place=failed&reason=runner_crashed").text
    assert "The process of the analysis died." in page
    assert f'href="/analyses/{world.ids.failed}"' in page
    assert f'href="/analyses/{world.ids.flagged}"' not in page
    assert 'href="/funnel?window=all#studies">Show all' in page
    # What is no place or window is the whole.
    assert "Show all" not in world.browser("vera").get("/funnel?window=x&place=x").text


def test_objects_that_were_not_kept_are_told_in_words(world):
    page = plain(world.browser("vera").get("/funnel").text)
    assert "Our own results that came back; accepted and dropped. 12" in page
