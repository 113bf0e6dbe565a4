"""Series of one study that name different people: the result says in which attributes, everywhere."""

import io
import re

import pydicom
import pytest
from pypdf import PdfReader

from service.core.status import OutputKind
from service.db.session import make_sessions
from service.db.tables import Series
from tests.make import again
from tests.make.databases import bring_up

SENTENCE = "The series of the study disagree in PatientID, PatientBirthDate."


@pytest.fixture
def world(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'myoscreen.db'}"
    bring_up(url)
    sessions = make_sessions(url)
    yield again.World(sessions, home)
    sessions.kw["bind"].dispose()


def test_finding_report_and_pdf_name_the_attributes_and_no_value(world, tmp_path):
    ready = world.receive(tmp_path / "in")
    with world.sessions.begin() as session:
        first = session.query(Series).one()
        other = {name: getattr(first, name) for name in ("study_id", "state", "first_at", "last_at", "sex")}
        session.add(Series(**other, series_uid="1.2.9", patient_id="ELSE-77", birth_date="19330303"))
    world.run(ready, again.workshop())
    finding = world.row(ready).finding
    (check,) = [each for each in finding["quality"] if each["check"] == "identity_agrees"]
    assert (check["passed"], check["detail"]) == (
        False,
        f"{SENTENCE} Nothing was compared with earlier studies.",
    )
    objects = {kind: world.read(row) for kind, row in world.objects(ready).items()}
    assert SENTENCE.encode() in objects[OutputKind.SR]
    document = pydicom.dcmread(io.BytesIO(objects[OutputKind.PDF])).EncapsulatedDocument
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(document)).pages)
    assert SENTENCE in re.sub(r"\s+", " ", text)
    for content in objects.values():
        assert b"ELSE-77" not in content
        assert b"19330303" not in content
