"""Series of one study that name different people: the result says in which attributes, everywhere."""

import io
import re

import pydicom
import pytest
from pypdf import PdfReader

from service.core.dixon import find_input_sets
from service.core.status import OutputKind
from service.db.session import make_sessions
from service.db.tables import Series
from service.dicom.series import scan
from service.pipeline.analyse import analyse_inputs
from service.pipeline.inputs import newest_time
from tests.make import again
from tests.make.databases import bring_up
from tests.make.series import mr_series

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


def test_images_of_two_people_in_one_stack_say_so_in_a_folder_too(tmp_path):
    def another(dataset, index):
        if index > 5:
            dataset.PatientID, dataset.PatientSex, dataset.PatientBirthDate = "ELSE-77", "M", "19330303"

    # Another part of the body: nobody is asked to draw.
    paths = mr_series(
        tmp_path / "in",
        positions=[4.0 * place for place in range(10)],
        changes={"BodyPartExamined": "KNEE"},
        each=another,
    )
    (inputs,) = find_input_sets(scan(paths).stacks)
    (tmp_path / "out").mkdir()
    result = analyse_inputs(
        inputs, again.blind(again.workshop()), at=newest_time(inputs), out=tmp_path / "out"
    )
    finding = result.finding.as_dict()
    (check,) = [each for each in finding["quality"] if each["check"] == "identity_agrees"]
    assert check["detail"].startswith("The images of one series disagree about the person.")
    assert (finding["person"]["age_years"], finding["person"]["sex"]) == (None, None)
