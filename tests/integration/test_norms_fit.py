"""A table of one's own: from a file or the ledger to a table that the service scores with."""

import csv
import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from service.cli import build_app
from service.core import normfit_table
from service.core.normfit_cohort import Include
from service.core.norms import Scorable, score
from service.core.series import Person
from service.core.status import AnalysisState
from service.db.cohort import reference_people
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, Study
from service.errors import NormMismatch
from service.pipeline.cohort import read_csv
from service.pipeline.references import read_norm
from tests.make.databases import bring_up
from tests.make.facts import DEFINITION, facts
from tests.make.ledger import make_finding
from tests.make.norm_trials import beside_vgam, error_of, held_by_intervals, share_of_all
from tests.make.reference_people import SCANNERS, cohort

COLUMNS = {
    "person": "key",
    "age_years": "age_years",
    "sex": "sex",
    "imat_fraction": "value",
    "height_m": "height_m",
    "scanner": "scanner",
    "definition": "definition",
    "model": "network",
    "fat_method": "fat_method",
    "contrast": "contrast",
    "region": "region",
    "coverage_mm": "coverage_mm",
}
FIT = ("--measure", "imat_fraction", "--population", "simulated people", "--kind", "healthy")
FAST = ("--replicates", "50")


@pytest.fixture(scope="module", autouse=True)
def _few_folds():
    """Three parts tell as much of the code as ten."""
    patch = pytest.MonkeyPatch()
    patch.setattr(normfit_table, "FOLDS", 3)
    yield
    patch.undo()


def write_csv(path, people, *, without=(), delimiter=",", **more):
    """The people as a file; ``more`` are further columns of one value."""
    names = [name for name in COLUMNS if name not in without]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow([*names, *more])
        for one in people:
            writer.writerow([*(getattr(one, COLUMNS[name]) for name in names), *more.values()])
    return path


def norms(*arguments, fails=False):
    done = CliRunner().invoke(build_app("norms"), ["norms", *map(str, arguments)], catch_exceptions=False)
    assert (done.exit_code != 0) == fails, done.output
    return done.output


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table of 150 of each sex on two scanners, with its pictures."""
    folder = tmp_path_factory.mktemp("norms")
    people = cohort(150, np.random.default_rng(1), shifts=(0.1, -0.1))
    said = norms(
        "fit",
        write_csv(folder / "people.csv", people),
        *FIT,
        *FAST,
        "--out",
        folder / "own-imat.toml",
        "--pictures",
        folder / "pictures",
    )
    return folder, said


def test_the_table_is_read_by_the_service_with_all_its_facts(made):
    folder, said = made
    table = read_norm(folder / "own-imat.toml")
    assert (table.reference, table.status, table.measure) == ("own-imat@1", "local", "imat_fraction")
    assert (table.definitions, table.networks) == (("paraspinal-two-class@1",), ("n@1",))
    assert (table.people.kind, table.people.n, table.people.n_by_sex) == (
        "healthy",
        300,
        {"F": 150, "M": 150},
    )
    assert table.coverage_mm == pytest.approx((72.0, 88.0))
    assert set(table.scanner_shifts) == set(SCANNERS)
    assert all(len(knot.z_se) == 5 for knots in table.knots.values() for knot in knots)
    assert "seed 20260727, 50 replicates" in said
    assert "seed = 20260727" in (folder / "own-imat.toml").read_text("utf-8")
    assert "held-out calibration: " in said
    assert "Research use only" in said


def test_no_person_stands_in_the_table(made):
    folder, _ = made
    text = (folder / "own-imat.toml").read_text("utf-8")
    people = cohort(150, np.random.default_rng(1), shifts=(0.1, -0.1))
    assert [one.key for one in people if f'"{one.key}"' in text] == []
    assert [one.key for one in people if f"{one.value:.6g}" in text or f"{one.age_years:.6g}" in text] == []


def test_the_service_scores_with_it_and_takes_the_scanner_out(made):
    folder, _ = made
    table = read_norm(folder / "own-imat.toml")
    found = [
        score(
            Scorable(measure="imat_fraction", value=0.13 * math.exp(shift), unit="1"),
            facts=facts(person=Person(age_years=50.0, sex="F"), scanner=scanner),
            definition=DEFINITION,
            tables=(table,),
        )
        for scanner, shift in zip(SCANNERS, (0.1, -0.1), strict=True)
    ]
    assert [one.z for one in found] == pytest.approx([0.0, 0.0], abs=0.3)
    assert found[0].norm_facts.population == "healthy"
    assert found[0].norm_status == "local"
    strange = facts(person=Person(age_years=50.0, sex="F"), scanner="PHILIPS C 3.0 T")
    value = Scorable(measure="imat_fraction", value=0.13, unit="1")
    assert score(value, facts=strange, definition=DEFINITION, tables=(table,)).state == "no_norm"


def test_pictures_are_drawn(made):
    folder, _ = made
    for name in ("centiles.png", "worm.png"):
        assert (folder / "pictures" / name).read_bytes().startswith(b"\x89PNG")


def test_a_table_is_tried_on_people_like_its_own_and_on_others(made, tmp_path):
    folder, _ = made
    alike = cohort(150, np.random.default_rng(2), shifts=(0.1, -0.1))
    said = norms("check", folder / "own-imat.toml", "--cohort", write_csv(tmp_path / "alike.csv", alike))
    assert "does not fit" not in said
    assert "(of an age or sex that the table lacks)" in said
    # Men and women of a fat third more: 0.29 / 0.3 of an SD, nearly one.
    fatter = cohort(150, np.random.default_rng(2), shifts=(0.39, 0.19))
    other = write_csv(tmp_path / "fatter.csv", fatter, delimiter=";")
    said = norms(
        "check",
        folder / "own-imat.toml",
        "--cohort",
        other,
        "--pictures",
        tmp_path / "pictures",
        fails=True,
    )
    assert "on this cohort: does not fit" in said
    assert "F: mean z +" in said
    assert (tmp_path / "pictures" / "worm.png").is_file()


def test_tables_are_checked_without_a_cohort(made):
    folder, _ = made
    assert "own-imat@1 (local) is sound" in norms("check", folder / "own-imat.toml")
    assert "provisional-fsf@2 (provisional) is sound" in norms("check", "provisional-fsf")
    assert "tables are sound" in norms("check")
    assert "coverage: 80 to 250 mm" in norms("show", "provisional-fsf")
    assert "provisional-fsf@2\tprovisional" in norms("list")


def refused(tmp_path, *arguments):
    """What a fit that must not be made is refused with."""
    with pytest.raises(NormMismatch) as error:
        norms("fit", *arguments, *FIT, *FAST, "--out", tmp_path / "none.toml")
    assert not (tmp_path / "none.toml").exists()
    return error.value.reason


def test_too_few_people_make_no_table(tmp_path):
    people = cohort(119, np.random.default_rng(3))
    reason = refused(tmp_path, write_csv(tmp_path / "few.csv", people))
    assert reason.code == "cohort_too_small"
    assert "Sex F has 119 people; a table needs 120 of each sex (CLSI EP28-A3c)" in reason.text


def test_scanners_whose_people_differ_in_age_make_no_table(tmp_path):
    young, old = (
        cohort(150, np.random.default_rng(seed), ages=ages) for seed, ages in ((1, (20, 45)), (2, (50, 80)))
    )
    old = [replace(one, key=f"old {one.key}", scanner=SCANNERS[1]) for one in old]
    reason = refused(tmp_path, write_csv(tmp_path / "apart.csv", young + old))
    assert reason.code == "cohort_confounded"
    assert "ages that the others do not have" in reason.text


def test_what_a_file_does_not_say_must_be_said(tmp_path):
    people = cohort(130, np.random.default_rng(4))
    bare = write_csv(
        tmp_path / "bare.csv",
        people,
        without=(
            "person",
            "scanner",
            "definition",
            "model",
            "contrast",
            "region",
            "coverage_mm",
            "fat_method",
        ),
        quality_passed="true",
    )
    assert "(260 scanner is not known)" in refused(tmp_path, bare).text
    assert "The definition of the values is not known" in refused(tmp_path, bare, "--scanner", "A").text
    said = ("--scanner", "A", "--definition", "d@1", "--network", "n@1", "--contrast", "t1")
    told = norms(
        "fit",
        bare,
        *FIT,
        *FAST,
        *said,
        *("--region", "lumbar", "--coverage", "100", "160", "--height", "estimate"),
        *("--sex", "F", "--ages", "20", "90", "--out", tmp_path / "own.toml"),
    )
    assert "each line counts as another person" in told
    table = read_norm(tmp_path / "own.toml")
    assert (set(table.knots), set(table.scanner_shifts)) == ({"F"}, {"A"})
    assert table.height.reference_m == 1.7


def test_bad_lines_are_named_and_never_quoted(tmp_path):
    people = cohort(2, np.random.default_rng(5))
    path = write_csv(tmp_path / "bad.csv", people)
    path.write_text(path.read_text("utf-8").replace(str(people[0].value), "Erika Muster"), "utf-8")
    reason = refused(tmp_path, path)
    assert (reason.code, reason.text) == ("cohort_unreadable", "Line 2: imat_fraction is not a number.")
    path = write_csv(tmp_path / "bad.csv", people, quality_passed="perhaps")
    assert refused(tmp_path, path).text == "Line 2: quality_passed is neither true nor false."
    path = write_csv(tmp_path / "bad.csv", people, without=("sex",))
    assert refused(tmp_path, path).text == "The file has no column sex."


@pytest.mark.parametrize(
    "wrong",
    [
        ("--measure", "imat_ml"),
        ("--kind", "none"),
        ("--sex", "O"),
        ("--height", "tall"),
        ("--since", "2026-01-01"),
        ("--replicates", "3"),
        ("--database",),
        ("--out", "/nowhere/own.toml"),
    ],
)
def test_senseless_arguments_are_refused(tmp_path, wrong):
    path = write_csv(tmp_path / "people.csv", cohort(1, np.random.default_rng(5)))
    done = CliRunner().invoke(
        build_app("norms"),
        ["norms", "fit", str(path), *FIT, "--out", str(tmp_path / "own.toml"), *wrong],
    )
    assert done.exit_code == 2


def fill(sessions, people):
    """A measured result of each person, as the service publishes it."""
    now = datetime(2026, 5, 1, tzinfo=UTC)
    with sessions.begin() as session:
        for index, one in enumerate(people):
            finding = make_finding(imat=one.value).as_dict()
            finding = {
                **finding,
                "series": {**finding["series"], "scanner": one.scanner, "coverage_mm": one.coverage_mm},
                "person": {**finding["person"], "age_years": one.age_years, "sex": one.sex},
            }
            study = Study(
                study_uid=f"1.2.{index}",
                patient_id=one.key or "",
                patient_name="Muster^Erika",
                study_date=one.day,
                created_at=now,
            )
            session.add(
                Analysis(
                    study=study,
                    input_digest=str(index),
                    state=AnalysisState.MEASURED,
                    finding=json.loads(json.dumps(finding)),
                    object_time=now,
                    created_at=now,
                )
            )


def test_a_table_is_made_of_the_ledger_and_names_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("MYOSCREEN_HOME", str(tmp_path / "home"))
    url = f"sqlite:///{tmp_path / 'home' / 'myoscreen.db'}"
    bring_up(url)
    sessions = make_sessions(url)
    people = cohort(130, np.random.default_rng(6))
    fill(sessions, people)
    with sessions.begin() as session:
        study = Study(study_uid="1.9", patient_id="F0", study_date="20260401", created_at=datetime.now(UTC))
        former = session.get(Analysis, 2)
        for state, date in (
            (AnalysisState.SUPERSEDED, former.created_at),
            (AnalysisState.MEASURED, former.created_at),
        ):
            session.add(
                Analysis(
                    study=study,
                    input_digest="again",
                    state=state,
                    finding=former.finding,
                    object_time=date,
                    created_at=date,
                )
            )
    said = norms("fit", "--database", *FIT, *FAST, "--out", tmp_path / "own.toml", "--since", "20260101")
    assert "left out: 1 (another result of the same person)" in said
    assert "people: 260" in said
    text = (tmp_path / "own.toml").read_text("utf-8")
    assert "Muster" not in text + said
    assert [one.key for one in people if f'"{one.key}"' in text] == []
    assert "does not fit" not in norms("check", tmp_path / "own.toml", "--database")
    sessions.kw["bind"].dispose()


def test_both_databases_give_the_same_people(sessions):
    few = cohort(2, np.random.default_rng(7))
    fill(sessions, few)
    with reading(sessions) as session:
        found = list(reference_people(session, "imat_fraction", definition=None, without=()))
    assert [one.value for one in found] == pytest.approx([one.value for one in few])
    assert [one.age_years for one in found] == pytest.approx([one.age_years for one in few])
    assert {(one.definition, one.network, one.scanner) for one in found} == {
        ("paraspinal-compartment@1", "paraspinal", SCANNERS[0])
    }
    assert [one.quality_passed for one in found] == [True] * 4
    with reading(sessions) as session:
        signal = list(reference_people(session, "fat_signal_fraction", definition="signal@1", without=()))
    assert {(one.value, one.definition) for one in signal} == {(None, "signal@1")}


def test_blocks_are_no_reference_people(sessions):
    """A share at one level, which nobody knows, is none of a whole stretch."""
    fill(sessions, cohort(2, np.random.default_rng(7)))
    with sessions.begin() as session:
        one = session.scalars(select(Analysis).order_by(Analysis.id)).first()
        definition = {**one.finding["definition"], "id": "paraspinal-compartment-block"}
        one.finding = {**one.finding, "definition": definition}
    with reading(sessions) as session:
        for measure in ("imat_fraction", "fat_signal_fraction"):
            assert len(list(reference_people(session, measure, definition="any@1", without=()))) == 3


def test_blocks_in_a_file_are_no_reference_people(tmp_path):
    path = tmp_path / "people.csv"
    lines = ["age_years,sex,imat_fraction,definition", "50,F,0.1,a-block@2", "51,F,0.2,a@2", "52,M,0.3,"]
    path.write_text("\n".join(lines), "utf-8")
    assert [one.value for one in read_csv(path, "imat_fraction", Include()).people] == [0.2, 0.3]


def test_known_scores_lie_in_their_intervals_95_times_in_a_hundred():
    """As a whole and by sex and age, with and without an error of measurement.

    Within the chance of so few cohorts (99.9 %, because so many shares are looked at).
    """
    for held in held_by_intervals(cohorts=10, n=200, people=12, replicates=50).values():
        whole, error = share_of_all(held)
        # 4.78: the same 99.9 % by t, for an error that is known from ten cohorts.
        assert whole == pytest.approx(0.95, abs=4.78 * error)
        assert error < 0.015
        shares = {group: float(np.mean([share for share, _ in found])) for group, found in held.items()}
        assert set(shares) == {(sex, start) for sex in "FM" for start in (20, 40, 60)}
        assert shares == pytest.approx(dict.fromkeys(shares, 0.95), abs=3.29 * error_of(held))


def test_scores_agree_with_another_implementation(tmp_path):
    apart = np.abs(beside_vgam(n=2000, seed=1, folder=tmp_path))
    assert np.median(apart) < 0.05
