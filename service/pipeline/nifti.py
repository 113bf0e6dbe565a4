"""NIfTI files for `myoscreen analyse`: what the caller says of them, and which belong together."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, get_args

from service.core.dixon import pair_up
from service.core.inputset import InputSet
from service.core.series import Acquisition, Contrast, Person, Role, StackFacts
from service.core.volume import Grid
from service.dicom.nifti import is_nifti
from service.dicom.nifti_stack import Told, name_of_set, read_nifti, stem
from service.dicom.people import person_of
from service.dicom.sidecar import sidecar_of
from service.dicom.stack import Scan, Stack, UnreadableFile
from service.errors import ConfigurationError, UnreadableSeries
from service.pipeline.inputs import Inputs

CONTRASTS: Final[tuple[Contrast, ...]] = get_args(Contrast)
#: Columns that name the files of a person: a file's name or path, or what BIDS calls a participant.
FILE, PARTICIPANT = "file", "participant_id"
#: A larger table of people is none. Chosen by us: a hundred thousand lines.
LARGEST_TABLE_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class Sayings:
    """What the caller says of NIfTI files, which say little themselves."""

    #: Patterns of file names with the contrast of such files; the first that fits counts.
    contrasts: tuple[tuple[str, Contrast], ...] = ()
    #: People by the name or path of a file, and by participant.
    by_file: Mapping[str, Person] = field(default_factory=dict)
    by_participant: Mapping[str, Person] = field(default_factory=dict)

    def of(self, path: Path) -> Told:
        """What is said of one file."""
        contrast = next((name for pattern, name in self.contrasts if fnmatchcase(path.name, pattern)), None)
        return Told(contrast=contrast, person=self._person(path))

    def _person(self, path: Path) -> Person | None:
        """By its path, else by the beginning of its name or a folder that is the participant's."""
        for start in range(len(path.parts)):
            named = self.by_file.get("/".join(path.parts[start:]))
            if named is not None:
                return named
        folders = reversed(path.parts[:-1])
        names = (stem(path.name), stem(path.name).partition("_")[0], *folders)
        return next((self.by_participant[name] for name in names if name in self.by_participant), None)


def read_contrasts(texts: Sequence[str]) -> tuple[tuple[str, Contrast], ...]:
    """``NAME`` for all files, or ``PATTERN=NAME`` for those whose name fits; raises ConfigurationError."""
    found: list[tuple[str, Contrast]] = []
    for text in texts:
        pattern, _, name = text.rpartition("=")
        contrast = next((each for each in CONTRASTS if each == name), None)
        if contrast is None:
            known = ", ".join(CONTRASTS)
            raise ConfigurationError(f"{name!r} is no contrast; there are {known}.", reason="bad_contrast")
        found.append((pattern or "*", contrast))
    # What names a pattern goes before what is said of all.
    return tuple(sorted(found, key=lambda each: each[0] == "*"))


def read_people(path: Path) -> tuple[dict[str, Person], dict[str, Person]]:
    """People by file and by participant, from a table in CSV, or in TSV as BIDS has it.

    Columns: ``file`` or ``participant_id``, and ``age_years`` (or ``age``), ``sex``, ``height_m`` (or
    ``height``). Raises ConfigurationError where the table cannot be read or names one twice.
    """
    if path.stat().st_size > LARGEST_TABLE_BYTES:
        raise _bad_people("The table is too large.")
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in "\t;" if mark in first), ",")
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = {name.strip() for name in rows.fieldnames or ()}
    keys = [name for name in (FILE, PARTICIPANT) if name in columns]
    if not keys:
        raise _bad_people(f"The table has neither a column {FILE} nor {PARTICIPANT}.")
    found: dict[str, dict[str, Person]] = {FILE: {}, PARTICIPANT: {}}
    for row in rows:
        values = {(name or "").strip(): value for name, value in row.items() if isinstance(value, str)}
        key = next((name for name in keys if values.get(name, "").strip()), None)
        if key is None:
            continue
        name = values[key].strip().removeprefix("./")
        if name in found[key]:
            raise _bad_people(f"Line {rows.line_num} names a {key} for the second time.")
        found[key][name] = person_of(
            age=values.get("age_years") or values.get("age") or "",
            sex=values.get("sex") or "",
            height=values.get("height_m") or values.get("height") or "",
            source=path.name,
        )
    return found[FILE], found[PARTICIPANT]


def _bad_people(text: str) -> ConfigurationError:
    return ConfigurationError(text, reason="bad_people")


def part_from(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """NIfTI files, and all others but the side-cars of the first."""
    ours = [path for path in paths if is_nifti(path)]
    sidecars = {sidecar_of(path) for path in ours}
    return ours, [path for path in paths if not is_nifti(path) and path not in sidecars]


def scan_nifti(paths: Sequence[Path], sayings: Sayings) -> Scan:
    """Every file as a stack of its own, or why it is none."""
    stacks: list[Stack] = []
    unreadable: list[UnreadableFile] = []
    for path in sorted(set(paths)):
        try:
            stacks.append(read_nifti(path, sayings.of(path)))
        except UnreadableSeries as error:
            unreadable.append(
                UnreadableFile(path=path, sop_instance_uid=None, series_uid=None, reason=error.reason)
            )
    return Scan(stacks=tuple(stacks), unreadable=tuple(unreadable))


def nifti_sets(stacks: Sequence[Stack]) -> tuple[Inputs, ...]:
    """Each file as an input set, or with its Dixon partner.

    Two files are partners if they lie in one folder and on one grid, and either have one name but for the
    word for the part, or side-cars of one time of acquisition. Stations are never put together: nothing in
    two files says that they show one person.
    """
    found = pair_up([_Pairable.of(stack) for stack in stacks])
    return tuple(
        InputSet(
            stacks=tuple((role, each.stack) for role, each in inputs.stacks),
            evidence=_evidence(inputs),
            unpaired=inputs.unpaired,
        )
        for inputs in found
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pairable:
    """A stack with facts in which only what tells partners apart is left."""

    stack: Stack
    facts: StackFacts

    @property
    def grid(self) -> Grid:
        return self.stack.grid

    @classmethod
    def of(cls, stack: Stack) -> "_Pairable":
        facts, path = stack.facts, stack.frames[0].path
        name = name_of_set(facts)
        return cls(
            stack=stack,
            facts=replace(
                facts,
                study_uid=str(path.parent),
                frame_of_reference_uid=str(path.parent),
                series_uid=str(path) if name is None else name,
                acquisition=Acquisition(time=facts.acquisition.time, numbers=facts.acquisition.numbers),
            ),
        )


def _evidence(inputs: InputSet[_Pairable]) -> str:
    same = len({each.facts.series_uid for _, each in inputs.stacks}) == 1
    named = inputs.role is Role.WATER and same
    return "names that differ in the word for the part alone" if named else inputs.evidence
