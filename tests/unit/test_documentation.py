"""The reference pages say what the program does, and every link leads somewhere."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer
from fastapi.routing import APIRoute

from service.cli import build_app
from service.core.finding import Finding
from service.dicom import codes, storing
from service.errors import ServiceError
from service.settings import PREFIX, AuditSyslog, Notify, Oidc, Peer, Settings, Tracing
from service.web import api, choosing, funnel, ordering, peering, slices, stow

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"


def read(path: Path) -> str:
    return path.read_text("utf-8")


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


def test_settings_md_lists_every_key_of_a_recipient_of_notifications_with_its_default() -> None:
    table = rows("settings.md")
    for name, field in Notify.model_fields.items():
        expected = "required" if field.is_required() else as_written(field.default)
        assert table[name][0] == expected, name


def test_settings_md_lists_every_key_of_a_provider_with_its_default() -> None:
    table = rows("settings.md")
    for name, field in Oidc.model_fields.items():
        expected = "required" if field.is_required() else as_written(field.default)
        assert table[name][0] == expected, name


def test_settings_md_lists_every_key_of_audit_messages_and_traces_with_its_default() -> None:
    table = rows("settings.md")
    for prefix, model in (("audit.syslog", AuditSyslog), ("tracing", Tracing)):
        for name, field in model.model_fields.items():
            expected = "required" if field.is_required() else as_written(field.default)
            assert table[f"{prefix}.{name}"][0] == expected, name


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


def commands(group: Any, prefix: str = "") -> Iterator[str]:
    """Every command of the command line, as it is typed."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_cli_md_lists_every_command_and_calls_reserved_only_what_is_not_there() -> None:
    page = read(REFERENCE / "cli.md")
    reserved = page[page.index("Reserved, **not there yet**") : page.index("## make")]
    there = set(commands(typer.main.get_command(build_app())))
    assert "user add" in there
    assert [command for command in there if f"`{command}" not in page.replace(reserved, "")] == []
    named = set(re.findall(r"`([a-z ]+)`", reserved))
    assert named
    assert named & there == set()


def test_rest_md_lists_every_route_of_the_interface() -> None:
    page = read(REFERENCE / "rest.md")
    routers = [room.router for room in (api, ordering, peering, slices, stow)]
    routers += [room.api_router for room in (choosing, funnel)]
    for route in (route for router in routers for route in router.routes):
        assert isinstance(route, APIRoute)
        path = re.sub(r"\{\w+_id\}", "{id}", route.path)
        for method in route.methods or ():
            assert f"`{method} {path}`" in page, f"{method} {path}"


def test_the_conformance_page_names_every_private_code_and_every_class_that_is_kept() -> None:
    page = read(REFERENCE / "dicom-conformance.md")
    private = [
        item for item in vars(codes).values() if getattr(item, "scheme_designator", "") == codes.SCHEME
    ]
    assert private
    assert [code.value for code in private if f"`{code.value}`" not in page] == []
    assert [uid for uid in storing.MR_CLASSES if f"| {uid} |" not in page] == []


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


def test_the_way_back_is_told_for_every_revision_of_the_database() -> None:
    steps = {step.name[:4] for step in (ROOT / "service/db/migrations/versions").glob("[0-9]*.py")}
    assert steps - set(rows("../how-to/backup-and-restore.md")) == set()


def test_finding_md_names_every_section() -> None:
    assert {field.name for field in fields(Finding)} - set(rows("finding.md")) == set()


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
