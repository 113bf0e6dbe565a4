"""The words and files around the program say what the program does."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from service.core import finding as shapes
from service.core.finding import (
    Asymmetry,
    Definition,
    Finding,
    Flag,
    Measures,
    ModelSection,
    Output,
    PersonSection,
    ProfilePoint,
    QualityCheck,
    Score,
    SeriesInput,
    SeriesSection,
    SideMeasures,
)
from service.errors import Reason, ServiceError
from service.settings import PREFIX, Peer, Settings, load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
SCHEMA = json.loads((REFERENCE / "finding.schema.json").read_text("utf-8"))
TOOLS = Path(sys.executable).parent
COMPOSE_FILES = (ROOT / "docker-compose.yml", ROOT / "deploy" / "compose.gpu.yml")

TEXT = {
    *(".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".json", ".js", ".conf", ".lua", ".sh", ".in", ".html"),
    *(".css", ".example", ".mako", ".svg", ".cfg", ".ini", ""),
}
#: Hosts that packages and images are fetched from; which ones is for each site's own clients to say.
REGISTRY_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|docker\.(?:io|com)|ghcr\.io|quay\.io|gcr\.io|nvcr\.io"
    r"|mcr\.microsoft\.com|proxy\.golang\.org|deb\.debian\.org|anaconda\.org|huggingface\.co"
)
#: Homes and work folders of the machine that something was written on.
MACHINE_PATHS = re.compile(r"(?<![\w.$}~*])/(?:work|root|Users|mnt|home/[a-z]\w*)/")


def project_files() -> list[Path]:
    """Every text file that belongs to the project, by what git keeps or would keep."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not in a git checkout, so nobody says which files belong to the project")
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.suffix in TEXT and path.is_file()]


def read(path: Path) -> str:
    return path.read_text("utf-8", errors="replace")


# Files of the deployment


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLS / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_dockerfile_passes_the_linter() -> None:
    result = run_tool("hadolint", "Dockerfile")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_compose_files_follow_the_compose_specification() -> None:
    result = run_tool(
        "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        *(str(path.relative_to(ROOT)) for path in COMPOSE_FILES),
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_file_that_the_compose_file_mounts_exists() -> None:
    mounted = re.findall(r"source: (\./deploy/\S+)", read(COMPOSE_FILES[0]))
    assert mounted
    assert [path for path in mounted if not (ROOT / path).is_file()] == []


def test_everything_that_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", read(ROOT / "Dockerfile"), re.MULTILINE)
        for source in line.split()[:-1]
    ]
    allowed = {line[1:] for line in read(ROOT / ".dockerignore").splitlines() if line.startswith("!")}
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(f"{entry}/".startswith(source.rstrip("/") + "/") for entry in allowed), source


def test_the_image_does_not_run_as_root_and_is_checked() -> None:
    dockerfile = read(ROOT / "Dockerfile")
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile
    assert dockerfile.count("pip install --require-hashes") == 3


def test_no_password_stands_in_a_compose_file() -> None:
    for path in COMPOSE_FILES:
        assert not re.search(r"(?i)password\s*[:=]\s*[^\s{]", read(path)), path.name
        assert not re.search(r"://[^/\s:]+:[^/\s@]+@", read(path)), path.name


def test_every_setting_that_the_deployment_sets_exists() -> None:
    own = {"MYOSCREEN_TAG"}
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | own
    files = (*COMPOSE_FILES, ROOT / "Dockerfile", ROOT / "deploy" / "env.example")
    named = {name for path in files for name in re.findall(r"MYOSCREEN_[A-Z_]+", read(path))}
    assert named - known == set()


@pytest.mark.parametrize("name", ["myoscreen.example.toml", "demo/myoscreen.toml"])
def test_the_example_settings_are_read_by_the_program(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "CONFIG", "QUIET_SECONDS", "AE_TITLE", "PEER"):
        monkeypatch.delenv(PREFIX + variable, raising=False)
    settings = load(home=tmp_path, config=ROOT / "deploy" / name)
    assert settings.peer[0].outputs == ("SEG", "SR", "SC", "PDF")


def test_the_commented_peers_of_the_example_are_valid_too() -> None:
    text = read(ROOT / "deploy" / "myoscreen.example.toml")
    active = re.sub(r"^# (?=\[\[peer|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    peers = [Peer.model_validate(peer) for peer in tomllib.loads(active)["peer"]]
    assert len(peers) == 5


# What no file may hold


def test_the_project_has_files_to_look_at() -> None:
    assert {ROOT / "README.md", ROOT / "service" / "errors.py", Path(__file__)} <= set(project_files())


def test_no_file_names_a_registry_host() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in project_files()
        for match in REGISTRY_HOSTS.finditer(read(path))
    ]
    assert found == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in project_files()
        for match in MACHINE_PATHS.finditer(read(path))
    ]
    assert found == []


# Reference pages


def as_written(value: Any) -> str:
    """A default as settings.md writes it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None:
        return "none"
    if value in ("", ()):
        return "empty"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, Path):
        return f"`~/{value.relative_to(Path.home())}`"
    return f"`{value}`"


def rows(page: str) -> dict[str, list[str]]:
    """The rows of all tables of a page by the code in their first cell."""
    found: dict[str, list[str]] = {}
    for line in read(REFERENCE / page).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) > 1:
            found[cells[0].strip("`")] = cells[1:]
    return found


def test_settings_md_lists_every_setting_with_its_default() -> None:
    table = rows("settings.md")
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        assert variable in table, variable
        assert table[variable][0] == as_written(field.default), variable


def test_settings_md_lists_no_setting_that_does_not_exist() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert {name for name in rows("settings.md") if name.startswith(PREFIX)} - known == set()


def test_settings_md_lists_every_key_of_a_peer_with_its_default() -> None:
    table = rows("settings.md")
    for name, field in Peer.model_fields.items():
        expected = "required" if field.is_required() else as_written(field.default)
        assert table[name][0] == expected, name


def all_errors(error: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield error
    for child in error.__subclasses__():
        if child.__module__ == "service.errors":
            yield from all_errors(child)


def test_errors_md_lists_every_error_code() -> None:
    assert {error.code for error in all_errors()} - set(rows("errors.md")) == set()


def test_errors_md_lists_every_reason_that_the_program_gives() -> None:
    pattern = re.compile(
        r"""reason="([a-z_]+)"|Reason\(\s*"([a-z_]+)"|check="([a-z_]+)"|HTTPStatus\.[A-Z_]+,\s*"([a-z_]+)\""""
    )
    given = {
        next(filter(None, match.groups()))
        for path in (ROOT / "service").rglob("*.py")
        for match in pattern.finditer(read(path))
    }
    assert given
    assert given - set(rows("errors.md")) == set()


def page_anchors(text: str) -> set[str]:
    """Anchors of the headings, as they are commonly made."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*.md"), *ROOT.glob("*.md")]
    broken = []
    for page in pages:
        text = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            if not path.exists() or (anchor and anchor not in page_anchors(read(path))):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", read(DOCS / "index.md"))}
    assert {page for page in DOCS.rglob("*.md") if page != DOCS / "index.md"} - linked == set()


# The schema of the finding


def finding(**changes: Any) -> dict[str, Any]:
    """A finding of a measured lumbar stack as plain JSON values."""
    side = SideMeasures(
        compartment_ml=250.0,
        lmm_ml=225.0,
        imat_ml=25.0,
        imat_fraction=0.1,
        mean_csa_cm2=21.0,
        mean_lean_csa_cm2=19.0,
        fat_signal_fraction=None,
    )
    values: dict[str, Any] = {
        "status": "measured",
        "reasons": (),
        "definition": Definition(
            id="paraspinal-two-class",
            version="1",
            network="paraspinal@0.1.0",
            boundary_rule="inside the fascia",
            fat_method="fat_reference_bright",
        ),
        "series": SeriesSection(
            study_uid="1.2.3",
            series_uid="1.2.3.4",
            inputs=(SeriesInput(role="image", series_uid="1.2.3.4", stack=0),),
            plane="axial",
            contrast="t2_tse",
            region="lumbar",
            slices=30,
            coverage_mm=132.0,
            spacing_mm=(4.4, 0.7, 0.7),
        ),
        "person": PersonSection(
            age_years=52.5,
            age_source="StudyDate-PatientBirthDate",
            sex="F",
            sex_source="PatientSex",
            height_m=None,
            height_source=None,
        ),
        "measures": Measures(
            left=side,
            right=side,
            total=side,
            asymmetry=Asymmetry(compartment_ml=0.0, imat_fraction=0.0),
            lmm_height_index_ml_m2=None,
            profile=(
                ProfilePoint(
                    position_mm=0.0,
                    left_lean_cm2=9.0,
                    left_fat_cm2=1.0,
                    right_lean_cm2=9.0,
                    right_fat_cm2=1.0,
                ),
            ),
        ),
        "scores": (
            Score(
                measure="imat_fraction",
                value=0.1,
                value_ci95=None,
                unit="1",
                state="scored",
                reason=None,
                z=0.5,
                z_ci95=(0.1, 0.9),
                percentile=69.1,
                percentile_ci95=(54.0, 81.6),
                norm="demonstration-imat@1",
                norm_status="demonstration",
            ),
        ),
        "flags": (Flag(code="imat_high", state="not_raised", text="Not raised."),),
        "quadrant": None,
        "quality": (QualityCheck(check="both_sides_found", passed=True, detail="Found: left, right."),),
        "model": ModelSection(
            name="paraspinal",
            version="0.1.0",
            sha256="0" * 64,
            provider="CPUExecutionProvider",
            precision="fp32",
        ),
        "norms": ("demonstration-imat@1 (demonstration)",),
        "policy": "default@1",
        "software": "myoscreen 0.1.0",
        "outputs": (Output(kind="SEG", sop_instance_uid="2.25.1", path="seg.dcm"),),
    }
    plain: dict[str, Any] = json.loads(json.dumps(Finding(**{**values, **changes}).as_dict()))
    return plain


def validate(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_measured_finding_follows_the_schema() -> None:
    validate(finding())


def test_a_finding_about_nothing_readable_follows_the_schema() -> None:
    nothing = {
        **dict.fromkeys(("definition", "series", "person", "measures", "model", "policy")),
        **dict.fromkeys(("scores", "flags", "quality", "norms", "outputs"), ()),
    }
    validate(finding(status="not_assessable", reasons=(Reason("no_images", "Nothing."),), **nothing))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("status", "normal"),
        ("measures", None),
        ("quadrant", "low_risk"),
        ("outputs", [{"kind": "SEG"}]),
        ("diagnosis", "none"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(change: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate({**finding(), change: value})


def test_a_left_out_field_is_refused() -> None:
    document = finding()
    del document["change"]
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


def test_a_withheld_score_has_no_z() -> None:
    document = finding()
    document["scores"][0]["state"] = "no_norm"
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (shapes.Definition, "definition"),
        (shapes.SeriesInput, "input"),
        (shapes.SeriesSection, "series"),
        (shapes.PersonSection, "person"),
        (shapes.SideMeasures, "side"),
        (shapes.Asymmetry, "asymmetry"),
        (shapes.ProfilePoint, "profile_point"),
        (shapes.Measures, "measures"),
        (shapes.Score, "score"),
        (shapes.Flag, "flag"),
        (shapes.QualityCheck, "quality_check"),
        (shapes.ModelSection, "model"),
        (shapes.Output, "output"),
        (Reason, "reason"),
    ],
)
def test_the_schema_knows_the_very_fields_of_the_program(shape: Any, name: str) -> None:
    named = {field.name for field in fields(shape)}
    assert set(SCHEMA["$defs"][name]["properties"]) == named
    assert set(SCHEMA["$defs"][name]["required"]) == named


def test_the_schema_knows_the_very_sections_of_a_finding() -> None:
    assert set(SCHEMA["properties"]) == {field.name for field in fields(Finding)}
    assert SCHEMA["properties"]["schema"]["const"] == shapes.SCHEMA


def test_finding_md_names_every_section() -> None:
    assert {field.name for field in fields(Finding)} - set(rows("finding.md")) == set()


# Words


def test_the_front_page_and_every_page_about_results_say_research_use_only() -> None:
    pages = (
        ROOT / "README.md",
        DOCS / "index.md",
        DOCS / "how-to" / "read-a-result.md",
        DOCS / "how-to" / "analyse-folders.md",
        REFERENCE / "finding.md",
        REFERENCE / "outputs.md",
        REFERENCE / "rest.md",
        REFERENCE / "dicom-conformance.md",
    )
    assert [page.name for page in pages if "research use only" not in read(page).lower()] == []
