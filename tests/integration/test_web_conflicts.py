"""Images that came again are shown on the page of their analysis, and an operator may reissue them."""

import hashlib

from sqlalchemy import select

from service.db.session import reading
from service.db.tables import Analysis, AnalysisInput, Instance, Series, SetAside
from tests.make.received import NOW
from tests.make.web import form_token


def images_of(world, analysis_id):
    series = select(AnalysisInput.series_id).where(AnalysisInput.analysis_id == analysis_id)
    with reading(world.sessions) as db:
        return db.scalars(select(Instance).where(Instance.series_id.in_(series)).order_by(Instance.id)).all()


def set_aside(world, images, difference, **changes):
    """Files beside these images."""
    with world.sessions.begin() as db:
        for image in images:
            digest = hashlib.sha256(f"{image.id}{difference}".encode()).hexdigest()
            series = db.get_one(Series, image.series_id)
            values = {"study_uid": series.study.study_uid, "series_uid": series.series_uid, **changes}
            db.add(
                SetAside(
                    instance_id=image.id,
                    series_id=image.series_id,
                    difference=difference,
                    calling_ae="SCANNER2",
                    transfer_syntax_uid=image.transfer_syntax_uid,
                    path=f"{digest[:2]}/{digest}.dcm",
                    sha256=digest,
                    size=1,
                    received_at=NOW,
                    last_at=NOW,
                    **values,
                )
            )


def test_an_operator_reissues_images_that_came_again_under_another_identity(world):
    page = f"/analyses/{world.ids.flagged}"
    images = images_of(world, world.ids.flagged)
    browser = world.browser("otto")
    assert "Came again" not in browser.get(page).text
    set_aside(world, images, "identity", patient_id="MERGED", patient_name="Right^Person")
    shown = browser.get(page).text
    assert f"{len(images)} images of this analysis came again under another identity" in shown
    assert f"In all it has {len(images)} images." in shown
    assert "Right, Person" not in shown
    done = browser.post(f"{page}/reissue", data={"csrf_token": form_token(shown)})
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?notice=identity_reissued")
    assert "Right, Person" in browser.get(page).text
    assert ("otto", "identity_reissued", "ok") in world.actions()
    again = world.program("operator").post(f"/api/v1{page}/reissue")
    assert (again.status_code, again.json()["code"]) == (409, "no_identity_change")


def test_images_of_an_opted_out_patient_are_not_reissued_under_another_identity(world):
    """The list would not know them any more."""
    page = f"/analyses/{world.ids.flagged}"
    set_aside(world, images_of(world, world.ids.flagged), "identity", patient_id="MERGED")
    program = world.program("operator")
    with reading(world.sessions) as db:
        patient = db.get_one(Analysis, world.ids.flagged).study.patient_id
    assert program.post("/api/v1/opt-outs", json={"patient_id": patient}).json() == {"changed": True}
    refused = program.post(f"/api/v1{page}/reissue")
    assert (refused.status_code, refused.json()["code"]) == (409, "opted_out")
    program.post("/api/v1/opt-outs/remove", json={"patient_id": patient})
    assert program.post(f"/api/v1{page}/reissue").status_code == 202


def test_a_viewer_may_not_reissue_and_the_interface_says_what_does_not_exist(world):
    page = f"/analyses/{world.ids.flagged}"
    set_aside(world, images_of(world, world.ids.flagged), "identity", patient_id="MERGED")
    assert "Reissue under" not in world.browser("vera").get(page).text
    assert world.program("viewer").post(f"/api/v1{page}/reissue").status_code == 403
    assert world.program("operator").post("/api/v1/analyses/999999/reissue").status_code == 404
    assert world.program("operator").post(f"/api/v1{page}/reissue").status_code == 202
    with reading(world.sessions) as db:
        assert db.get_one(Analysis, world.ids.flagged).study.patient_id == "MERGED"


def test_a_conflict_is_shown_with_its_sender_and_cannot_be_reissued(world):
    images = images_of(world, world.ids.flagged)
    set_aside(world, images[:1], "conflict")
    shown = world.browser("otto").get(f"/analyses/{world.ids.flagged}").text
    assert "1 image came again with other pixels or in another place. Sent by SCANNER2." in shown
    assert "Reissue under" not in shown
