"""Rules from the command line: whether a file of them is sound, and what they decide of images."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.standing import standing
from service.core.dixon import find_input_sets
from service.core.rules import Decision, Rules
from service.dicom.series import scan
from service.pipeline.batch import find_files
from service.pipeline.choose import choose_among, facts_of
from service.pipeline.inputs import Inputs, why_not_eligible
from service.pipeline.references import read_rules_file
from service.settings import load
from service.worker.choosing import choosing_from

#: As `analyse` ends where nothing was measured.
NOTHING_MEASURED = 3
HEADINGS = ("series", "stack", "description", "contrast", "plane", "region", "slices", "outcome", "rule")
#: Characters of a description in the table.
SHORT = 28

rules_app = typer.Typer(no_args_is_help=True, help="The rules that choose what is measured.")
RulesFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file of rules (TOML).", exists=True)]


@rules_app.command()
def check(file: RulesFile) -> None:
    """Say whether a file of rules is sound, and what it says in words."""
    rules = read_rules_file(file)
    for line in in_words(rules):
        typer.echo(line)


@rules_app.command("test")
def try_rules(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files of DICOM.", exists=True)],
    rules: Annotated[Path | None, typer.Option(help="Other rules than those in force.", exists=True)] = None,
    calling_ae: Annotated[str, typer.Option(help="AE title that is taken to be the sender.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Say of each stack which rule decides and by which attribute; nothing is measured or kept.

    Exit status: 0 something would be measured, 3 nothing would, 1 the call failed.
    """
    choosing = choosing_from(standing(load()), None if rules is None else read_rules_file(rules))
    found = scan(find_files(paths))
    sets = find_input_sets(found.stacks)
    decisions = choose_among(sets, choosing.rules, choosing.card, calling_ae=calling_ae)
    texts = [
        " ".join(reason.text for reason in why_not_eligible(inputs, choosing.card)) or decision.text
        for inputs, decision in zip(sets, decisions, strict=True)
    ]
    rows = [_row(*each) for each in zip(sets, decisions, texts, strict=True)]
    unreadable = Counter(file.reason.code for file in found.unreadable)
    if as_json:
        document = {"rules": choosing.rules.reference, "stacks": rows, "unreadable": unreadable}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _tell(choosing.rules, rows, unreadable)
    if not any(decision.outcome == "measure" for decision in decisions):
        raise typer.Exit(NOTHING_MEASURED)


def in_words(rules: Rules) -> list[str]:
    """The rules as lines of text."""
    which = "every stack that a rule takes" if rules.take == "all" else "the best stack of each study"
    lines = [f"{rules.reference} is sound; measures {which}; rules: {len(rules.rules)}"]
    for number, rule in enumerate(rules.rules, start=1):
        does = "leaves out" if rule.skip else "takes"
        prefers = "; prefers " + ", ".join(each.words for each in rule.prefer) if rule.prefer else ""
        where = f"where {rule.words}" if rule.conditions else "everything"
        lines.append(f"{number}. {rule.name}: {does} {where}{prefers}")
    return lines


def _row(inputs: Inputs, decision: Decision, text: str) -> dict[str, Any]:
    """One stack and what becomes of it."""
    facts = inputs.first.facts
    return {
        "study_uid": facts.study_uid,
        "series_uid": facts.series_uid,
        "stack": facts.stack,
        "roles": [role.value for role, _ in inputs.stacks],
        "facts": dict(facts_of(inputs)),
        **asdict(decision),
        "text": text,
    }


def _tell(rules: Rules, rows: Sequence[dict[str, Any]], unreadable: Counter[str]) -> None:
    """A table for people, and below it a sentence for each stack."""
    typer.echo(f"rules {rules.reference}, take {rules.take}")
    lines = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        typer.echo(f"{_number(row)}.{row['stack']}: {row['text']}")
    for code, count in sorted(unreadable.items()):
        typer.echo(f"in no stack: {count} files [{code}]")


def _number(row: dict[str, Any]) -> str:
    number = row["facts"]["series_number"]
    return "?" if number is None else f"{number:g}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    facts = row["facts"]
    printable = "".join(letter if letter.isprintable() else " " for letter in facts["description"])
    rule = row["rule"] or "-"
    decided = f"{rule} ({row['attribute']})" if row["attribute"] not in (None, "none") else rule
    shown = [facts[name] for name in ("contrast", "plane", "region")]
    return (
        *(_number(row), str(row["stack"]), printable[:SHORT], *shown),
        *(f"{facts['slices']:g}", row["outcome"], decided),
    )


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(rules_app, name="rules")
