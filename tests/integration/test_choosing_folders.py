"""Rules on the command line, and on images that lie in folders."""

import json

import pytest
from typer.testing import CliRunner

from service.cli import build_app
from service.cli.rules import HEADINGS
from service.errors import ConfigurationError
from service.pipeline import batch
from service.pipeline.analyse import write_finding
from service.pipeline.job import Past
from service.pipeline.references import bundled_models_dir, read_rules
from tests.make import stand_in
from tests.make.choosing import MOST_SLICES, WORKSHOP, rules
from tests.make.series import mr_series


@pytest.fixture
def folder(tmp_path):
    """A study of three stacks, and a file that is none."""
    for series, slices, changes in ((1, 20, {}), (2, 24, {}), (3, 24, {"Modality": "CT"})):
        positions = [4.0 * index for index in range(slices)]
        mr_series(tmp_path / "in" / str(series), series=series, positions=positions, changes=changes)
    (tmp_path / "in" / "note.txt").write_text("no image", "utf-8")
    (tmp_path / "site.toml").write_text(MOST_SLICES, "utf-8")
    return tmp_path


def command(*args):
    return CliRunner().invoke(build_app("rules"), ["rules", *map(str, args)])


def test_the_command_says_which_rule_decides_and_by_which_attribute(folder):
    answer = command("test", folder / "in", "--rules", folder / "site.toml")
    assert answer.exit_code == 0
    head, titles, small, large, other, *texts = answer.stdout.splitlines()
    assert head == "rules site@1, take first"
    assert titles.split() == list(HEADINGS)
    cells = ["t2_tse_tra", "t2_tse", "axial", "unknown"]
    assert small.split() == ["1", "0", *cells, "20", "not_selected", "T2", "(slices)"]
    assert large.split() == ["2", "0", *cells, "24", "measure", "T2", "(contrast)"]
    assert other.split()[-2:] == ["not_eligible", "-"]
    assert texts[0].startswith("1.0: Rule 'T2' of site@1 prefers most slices: 24")
    assert texts[-1] == "in no stack: 1 files [not_dicom]"


def test_the_command_speaks_json_and_says_where_nothing_would_be_measured(folder):
    answer = command("test", folder / "in" / "3", "--json")
    assert answer.exit_code == 3
    found = json.loads(answer.stdout)
    assert (found["rules"], found["unreadable"]) == ("default@1", {})
    (stack,) = found["stacks"]
    assert (stack["outcome"], stack["facts"]["slices"], stack["roles"]) == ("not_eligible", 24, ["image"])
    assert "Modality is CT" in stack["text"]


def test_the_command_may_suppose_a_sender(folder):
    rule = 'id = "s"\nversion = "1"\ntake = "all"\n[[rule]]\nname = "r"\nwhen.calling_ae = ["MR1"]\n'
    (folder / "sender.toml").write_text(rule, "utf-8")
    args = ("test", folder / "in" / "1", "--rules", folder / "sender.toml")
    assert command(*args).exit_code == 3
    assert command(*args, "--calling-ae", "mr1").exit_code == 0


def test_the_command_checks_a_file(folder):
    answer = command("check", bundled_models_dir() / "rules" / "one-per-study.toml")
    assert answer.stdout.startswith(
        "one-per-study@1 is sound; measures the best stack of each study; rules: 4"
    )
    assert "4. anything else that is eligible: takes everything; prefers most slices" in answer.stdout
    (folder / "bad.toml").write_text("id = ", "utf-8")
    assert command("check", folder / "bad.toml").exception.reason.code == "bad_rules"
    with pytest.raises(ConfigurationError, match=r"no rules 'gone\.toml'"):
        read_rules(folder, str(folder / "gone.toml"))


def test_a_models_folder_of_one_s_own_may_have_rules_or_not(tmp_path):
    assert read_rules(tmp_path, "one-per-study").take == "first"
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "default.toml").write_text(MOST_SLICES, "utf-8")
    assert read_rules(tmp_path, "default").reference == "site@1"
    with pytest.raises(ConfigurationError, match="plain name"):
        read_rules(tmp_path, "../default")


def test_folders_are_chosen_from_like_what_arrives(folder, monkeypatch):
    def analyse(inputs, workshop, *, at, out):
        write_finding(stand_in.analyse(inputs, workshop, at=at, out=out, past=Past()).finding, out)

    monkeypatch.setattr(batch, "analyse_inputs", analyse)
    out = folder / "out"
    batch.analyse_paths([folder / "in"], out, lambda: WORKSHOP, rules=rules(MOST_SLICES))
    outcomes = json.loads((out / "outcomes.json").read_text("utf-8"))
    found = {
        each["series_uid"][-1]: (each["status"], [reason["code"] for reason in each["reasons"]])
        for each in outcomes
        if each["series_uid"]
    }
    assert found.pop("3")[0] == "not_eligible"
    assert found == {"1": ("not_eligible", ["not_selected"]), "2": ("measured", [])}


def test_where_the_rules_take_nothing_the_finding_says_so(folder):
    nothing = rules(MOST_SLICES.replace('"t2_tse"', '"stir"'))
    batch.analyse_paths([folder / "in" / "1"], folder / "out", lambda: WORKSHOP, rules=nothing)
    finding = json.loads((folder / "out" / "finding.json").read_text("utf-8"))
    assert finding["status"] == "not_eligible"
    assert [reason["code"] for reason in finding["reasons"]] == ["not_selected"]
