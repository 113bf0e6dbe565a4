"""Many folders of images analysed from the command line, without broker, database or PACS."""

import csv
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from service import files
from service.core.dixon import find_input_sets
from service.core.finding import SeriesInput
from service.core.normfit_cohort import quality_passed
from service.core.rules import Rules
from service.dicom.series import Scan, scan
from service.errors import Reason
from service.pipeline.analyse import (
    FINDING_NAME,
    Workshop,
    analyse_inputs,
    blank_finding,
    finding_without_images,
    remove_former_result,
    write_finding,
)
from service.pipeline.choose import why_not_measured
from service.pipeline.decline import decline
from service.pipeline.inputs import Inputs, inputs_section, newest_time
from service.pipeline.nifti import Sayings, nifti_sets, part_from, scan_nifti

log = logging.getLogger(__name__)

OUTCOMES_NAME = "outcomes.json"
#: Reason code of a fault that nobody foresaw.
INTERNAL_FAULT = "internal_fault"
#: Columns of the table; measures are those of both sides together.
TABLE_COLUMNS = (
    "input",
    "status",
    "reason",
    "contrast",
    "region",
    "slices",
    "coverage_mm",
    "block",
    "age_years",
    "sex",
    "height_m",
    "compartment_ml",
    "lmm_ml",
    "imat_ml",
    "imat_fraction",
    "left_imat_fraction",
    "right_imat_fraction",
    "fat_signal_fraction",
    "mean_csa_cm2",
    "lmm_height_index_ml_m2",
    "model",
    "definition",
    "fat_method",
    "scanner",
    "quality_passed",
)

WorkshopMaker = Callable[[], Workshop]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one input set, or of one file that is part of no stack."""

    #: Folder of the result below ``--out`` ("." for ``--out`` itself), None where there is none.
    folder: str | None
    #: Of the stack that results lie on.
    series_uid: str | None
    stack: int | None
    #: Every stack of the input set with its role.
    inputs: tuple[SeriesInput, ...]
    #: Name of the file, for content that could not be read.
    file: str | None
    status: str
    reasons: tuple[Reason, ...]


def find_files(paths: Iterable[Path], *, without: Path | None = None) -> list[Path]:
    """Every file at or below the paths but not below ``without``, in a fixed order."""
    roots = [path.resolve() for path in paths]
    found = {
        file for root in roots for file in ([root] if root.is_file() else root.rglob("*")) if file.is_file()
    }
    aside = None if without is None else without.resolve()
    if aside is not None and not any(root.is_relative_to(aside) for root in roots):
        found = {file for file in found if not file.is_relative_to(aside)}
    return sorted(found)


def analyse_paths(
    paths: Iterable[Path],
    out: Path,
    make_workshop: WorkshopMaker,
    *,
    jobs: int = 1,
    resume: bool = False,
    rules: Rules | None = None,
    sayings: Sayings | None = None,
) -> list[Outcome]:
    """Analyse everything below ``paths`` into ``out`` and say what became of each input set.

    One input set gives its files in ``out`` itself, several give one sub-folder each. Without ``rules``
    everything is measured that the card admits. ``sayings`` tell of NIfTI files what those do not.
    """
    files.make_private_dir(out)
    workshop = make_workshop()
    found, sets = _look(find_files(paths, without=out), sayings or Sayings())
    declined = why_not_measured(sets, rules, workshop.card)
    eligible = [inputs for inputs, reasons in zip(sets, declined, strict=True) if not reasons]
    folders = _folders(eligible, out)
    if len(eligible) > 1:
        remove_former_result(out)
    outcomes = _unreadable(found) + _not_eligible(sets, declined)
    if not eligible:
        _write_reasons(outcomes, sets, declined, workshop, out)
    waiting = [
        (inputs, folder)
        for inputs, folder in zip(eligible, folders, strict=True)
        if not (resume and _is_done(inputs, folder, workshop))
    ]
    _run(waiting, workshop, make_workshop, jobs)
    outcomes += [_outcome(inputs, folder, out) for inputs, folder in zip(eligible, folders, strict=True)]
    text = json.dumps([_plain(outcome) for outcome in outcomes], indent=2, ensure_ascii=False)
    files.write_atomically(out / OUTCOMES_NAME, (text + "\n").encode("utf-8"))
    return outcomes


def _look(paths: list[Path], sayings: Sayings) -> tuple[Scan, tuple[Inputs, ...]]:
    """What the files hold, and which stacks are measured together; those of DICOM come first."""
    niftis, others = part_from(paths)
    found, more = scan(others), scan_nifti(niftis, sayings)
    both = Scan(stacks=found.stacks + more.stacks, unreadable=found.unreadable + more.unreadable)
    return both, find_input_sets(found.stacks) + nifti_sets(more.stacks)


def measures_table(out: Path, outcomes: list[Outcome]) -> bytes:
    """One line for each result, as CSV; no names, identifiers or dates."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, TABLE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for outcome in outcomes:
        if outcome.folder is not None:
            writer.writerow(
                _row(outcome.folder, json.loads((out / outcome.folder / FINDING_NAME).read_text("utf-8")))
            )
    return stream.getvalue().encode("utf-8")


def _folders(eligible: list[Inputs], out: Path) -> list[Path]:
    """``out`` itself for one input set, numbered sub-folders for several."""
    if len(eligible) == 1:
        return [out]
    return [out / f"input-{number:03d}" for number in range(1, len(eligible) + 1)]


def _run(
    waiting: list[tuple[Inputs, Path]], workshop: Workshop, make_workshop: WorkshopMaker, jobs: int
) -> None:
    """Analyse one after the other, or in ``jobs`` processes."""
    for _inputs, folder in waiting:
        files.make_private_dir(folder)
    if jobs <= 1 or len(waiting) <= 1:
        for inputs, folder in waiting:
            _analyse(inputs, workshop, folder)
        return
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_open_workshop, initargs=(make_workshop,)
    ) as pool:
        list(pool.map(_analyse_in_child, *zip(*waiting, strict=True)))


_child_workshop: list[Workshop] = []


def _open_workshop(make_workshop: WorkshopMaker) -> None:
    """Load the network once in each child process."""
    _child_workshop[:] = [make_workshop()]


def _analyse_in_child(inputs: Inputs, folder: Path) -> None:
    _analyse(inputs, _child_workshop[0], folder)


def _analyse(inputs: Inputs, workshop: Workshop, folder: Path) -> None:
    """Analyse one input set; a fault in it is its own outcome and never costs the others theirs."""
    try:
        analyse_inputs(inputs, workshop, at=newest_time(inputs), out=folder)
    except Exception as error:
        log.exception("analysis_failed", extra={"code": INTERNAL_FAULT})
        remove_former_result(folder)
        reason = Reason(INTERNAL_FAULT, f"{type(error).__name__} in the analysis.")
        write_finding(finding_without_images((reason,), workshop), folder)


def _is_done(inputs: Inputs, folder: Path, workshop: Workshop) -> bool:
    """Whether ``folder`` holds a whole result of the same stacks, made in the same way."""
    try:
        found = json.loads((folder / FINDING_NAME).read_text("utf-8"))
        series = found["series"]
        slices = [each["slices"] for each in series["stations"] or [series]]
        made = [series["inputs"], slices, found["model"], found["norms"], found["policy"]]
        whole = all((folder / output["path"]).is_file() for output in found["outputs"])
        same_software = found["software"] == workshop.software
    except (OSError, ValueError, TypeError, KeyError):
        return False
    expected = blank_finding(inputs, workshop).as_dict()
    # Of a scan in stations all that were looked at, also where one of them does not count.
    here = [station.first.facts.slices for station in inputs.stations]
    roles = list(expected["series"]["inputs"])
    same_way = [roles, here, expected["model"], list(expected["norms"]), expected["policy"]]
    return whole and same_software and made == same_way


def _unreadable(found: Scan) -> list[Outcome]:
    return [
        Outcome(
            folder=None,
            series_uid=item.series_uid,
            stack=None,
            inputs=(),
            file=item.path.name,
            status="not_assessable",
            reasons=(item.reason,),
        )
        for item in found.unreadable
    ]


def _not_eligible(sets: Sequence[Inputs], declined: Sequence[tuple[Reason, ...]]) -> list[Outcome]:
    return [
        Outcome(
            folder=None,
            series_uid=inputs.first.facts.series_uid or None,
            stack=inputs.first.facts.stack,
            inputs=inputs_section(inputs),
            file=None,
            status="not_eligible",
            reasons=reasons,
        )
        for inputs, reasons in zip(sets, declined, strict=True)
        if reasons
    ]


def _write_reasons(
    outcomes: list[Outcome],
    sets: Sequence[Inputs],
    declined: Sequence[tuple[Reason, ...]],
    workshop: Workshop,
    out: Path,
) -> None:
    """finding.json for a call in which no input set is measured."""
    if sets:
        remove_former_result(out)
        decline(sets[0], workshop, declined[0][0], out)
        return
    reasons = {reason.code: reason for outcome in outcomes for reason in outcome.reasons}
    nothing = Reason("no_images", "There are no DICOM or NIfTI images here.")
    write_finding(finding_without_images(tuple(reasons.values()) or (nothing,), workshop), out)


def _outcome(inputs: Inputs, folder: Path, out: Path) -> Outcome:
    """What stands in the finding of an input set that was analysed."""
    found = json.loads((folder / FINDING_NAME).read_text("utf-8"))
    return Outcome(
        folder=folder.relative_to(out).as_posix(),
        series_uid=inputs.first.facts.series_uid or None,
        stack=inputs.first.facts.stack,
        inputs=inputs_section(inputs),
        file=None,
        status=found["status"],
        reasons=tuple(Reason(**reason) for reason in found["reasons"]),
    )


def _plain(outcome: Outcome) -> dict[str, Any]:
    reasons = [{"code": reason.code, "text": reason.text} for reason in outcome.reasons]
    return {
        "folder": outcome.folder,
        "series_uid": outcome.series_uid,
        "stack": outcome.stack,
        "inputs": [asdict(item) for item in outcome.inputs],
        "file": outcome.file,
        "status": outcome.status,
        "reasons": reasons,
    }


def _row(folder: str, found: dict[str, Any]) -> dict[str, Any]:
    """One finding as a line of the table."""
    series, person, measures = (found[key] or {} for key in ("series", "person", "measures"))
    total = measures.get("total") or {}
    sides = {
        f"{side}_imat_fraction": (measures.get(side) or {}).get("imat_fraction") for side in ("left", "right")
    }
    values = {
        **series,
        **person,
        **total,
        **sides,
        "input": folder,
        "status": found["status"],
        "reason": " ".join(reason["code"] for reason in found["reasons"]),
        "block": _block(series),
        "lmm_height_index_ml_m2": measures.get("lmm_height_index_ml_m2"),
        "model": "{name}@{version}".format(**found["model"]) if found["model"] else None,
        "definition": "{id}@{version}".format(**found["definition"]) if found["definition"] else None,
        "fat_method": (found["definition"] or {}).get("fat_method"),
        "quality_passed": quality_passed(found["quality"]),
    }
    return {column: values.get(column) for column in TABLE_COLUMNS}


def _block(series: dict[str, Any]) -> str | None:
    """Which block of its series was measured: "2 of 5" from the caudal end, else "block"."""
    place = series.get("block")
    if place is None:
        return None
    return "block" if place["number"] is None else f"{place['number']} of {place['of']}"


def first_reasons(outcomes: list[Outcome]) -> Iterator[str]:
    """One line for each different reason among the outcomes, for people."""
    seen: set[str] = set()
    for outcome in outcomes:
        for reason in outcome.reasons:
            if reason.code not in seen:
                seen.add(reason.code)
                yield f"{outcome.status}: {reason.text} [{reason.code}]"
    if not outcomes:
        yield "not_assessable: There are no DICOM or NIfTI images here. [no_images]"
