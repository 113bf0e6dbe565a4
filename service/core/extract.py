"""What the population page needs of one finding: a few whole numbers, and what may be drawn with what.

The numbers are kept as one text of fixed width, because all of them are read for each page: 50,000 results
take some hundredths of a second so, and half a second as a column each.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from service.core.population import SEXES, Records, in_order

#: The lean volume grows with the stretch of patient, so results are drawn together only within a band of it.
#: Chosen by us: the protocols of one site fall into one band or two, and within one around 200 mm the volume
#: of the same muscle differs by a quarter at most.
COVERAGE_BAND_MM: Final = 50
#: The two measures of the page.
MEASURES: Final = {"imat": "imat_fraction", "lmm": "lmm_height_index_ml_m2"}
#: Bits of the number of a person: two of 100,000 people have the same with a probability of 7e-8.
PERSON_BITS: Final = 56
#: Stands for a number that is not known.
NOTHING: Final = -(2**31)
#: The numbers of one result, big end first; as text two hexadecimal digits for each byte.
PACKED: Final = np.dtype(
    [("person", ">i8"), ("analysis", ">i8")]
    + [
        (name, ">i4")
        for name in ("day", "sex", "age_e1", "imat_e5", "lmm_e1", "imat_z_e3", "lmm_z_e3", "flags")
    ]
)
#: MR came into hospitals about then; an earlier date of a study is a slip of the pen.
FIRST_YEAR: Final = 1980


@dataclass(frozen=True, kw_only=True)
class Family:
    """What results have in common that are drawn together."""

    definition: str
    network: str
    boundary_rule: str
    fat_method: str
    contrast: str
    region: str
    #: Lower edge of a band of ``COVERAGE_BAND_MM``.
    coverage_from_mm: int

    @property
    def coverage_mm(self) -> tuple[int, int]:
        """Lower and upper edge."""
        return self.coverage_from_mm, self.coverage_from_mm + COVERAGE_BAND_MM


@dataclass(frozen=True, kw_only=True)
class Extract:
    """One result as the population page has it; the names are those of the columns."""

    family: Family | None
    #: Of the study, as 20261120.
    day: int
    #: Place in ``SEXES``.
    sex: int | None
    #: ``_e3`` is in thousandths.
    age_e1: int | None
    imat_e5: int | None
    lmm_e1: int | None
    imat_z_e3: int | None
    lmm_z_e3: int | None
    #: As in ``service.core.population.Records``.
    flags: int
    norms: str
    scanner: str
    protocol: str


def person_number(patient_id: str) -> int | None:
    """The number under which a person is counted; None without a patient ID.

    Who gave the ID does not count, because images often do not say: people are rather counted too few than
    too many. The number hides nobody, because the patient ID stands in the same database.
    """
    if not patient_id:
        return None
    digest = hashlib.sha256(patient_id.encode()).digest()
    return int.from_bytes(digest[: PERSON_BITS // 8], "big")


def day_of(study_date: str, otherwise: date) -> int:
    """The day of a study, as 20261120; the other where the headers name none, or one to come."""
    digits = re.sub(r"[.\-]", "", study_date.strip())
    last = int(otherwise.strftime("%Y%m%d"))
    if not re.fullmatch(r"\d{8}", digits):
        return last
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return last
    number = int(digits)
    return number if day.year >= FIRST_YEAR and number <= last else last


def extract(finding: Mapping[str, Any], facts: Mapping[str, Any], *, day: int) -> Extract:
    """The numbers of a measured finding; ``facts`` are what was taken down of its images for the rules."""
    person, measures = finding.get("person") or {}, finding.get("measures") or {}
    scores = {each["measure"]: each for each in finding.get("scores") or ()}
    imat, lmm = (scores.get(name) or {} for name in MEASURES.values())
    sex = person.get("sex")
    norms = " ".join(str(each["norm"]) for each in (imat, lmm) if each.get("z") is not None)
    return Extract(
        family=family_of(finding),
        day=day,
        sex=SEXES.index(sex) if sex in SEXES else None,
        age_e1=_whole(person.get("age_years"), 10),
        imat_e5=_whole((measures.get("total") or {}).get("imat_fraction"), 100_000),
        lmm_e1=_whole(measures.get("lmm_height_index_ml_m2"), 10),
        imat_z_e3=_whole(imat.get("z"), 1000),
        lmm_z_e3=_whole(lmm.get("z"), 1000),
        flags=_flags(finding),
        norms=norms[:256],
        scanner=_scanner(finding, facts),
        protocol=str(facts.get("protocol") or "")[:64],
    )


def family_of(finding: Mapping[str, Any]) -> Family | None:
    """What it may be drawn with; None where the finding does not say what was measured, or on how much."""
    definition, series = finding.get("definition"), finding.get("series")
    if not definition or not series or series.get("coverage_mm") is None:
        return None
    return Family(
        definition=f"{definition['id']}@{definition['version']}"[:128],
        network=str(definition["network"])[:128],
        boundary_rule=str(definition["boundary_rule"])[:64],
        fat_method=str(definition.get("fat_method") or "")[:64],
        contrast=str(series["contrast"])[:16],
        region=str(series["region"])[:16],
        coverage_from_mm=int(series["coverage_mm"] // COVERAGE_BAND_MM) * COVERAGE_BAND_MM,
    )


def _whole(value: float | None, times: int) -> int | None:
    return None if value is None else round(value * times)


def _flags(finding: Mapping[str, Any]) -> int:
    """2: one is raised; 1: one could be judged; 0: none could."""
    states = {flag["state"] for flag in finding.get("flags") or ()}
    return 2 if "raised" in states else int(bool(states - {"not_evaluable"}))


def _scanner(finding: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Maker, model, field strength and station, as far as they are known."""
    scanner = (finding.get("series") or {}).get("scanner") or facts.get("manufacturer")
    parts = [str(each) for each in (scanner, facts.get("station_name")) if each]
    return " / ".join(parts)[:128]


def pack(taken: Extract, *, person: int, analysis: int) -> str:
    """The numbers of one result as text; a number too large for its place counts as not known."""
    numbers = {**vars(taken), "person": person, "analysis": analysis}
    row = tuple(_fitting(numbers[name], PACKED[name].itemsize) for name in PACKED.names or ())
    return np.array([row], dtype=PACKED).tobytes().hex()


def _fitting(number: int | None, size: int) -> int:
    return number if number is not None and abs(number) < 2 ** (8 * size - 1) else NOTHING


def unpack(rows: Iterable[tuple[Sequence[str], str]], dimensions: Sequence[str]) -> Records:
    """Results from their texts, those of one group behind each other; each group with its names."""
    found = list(rows)
    parts = [np.frombuffer(bytes.fromhex(told), dtype=PACKED) for _, told in found]
    whole = np.concatenate([np.empty(0, dtype=PACKED), *parts])
    sizes = [len(part) for part in parts]
    names, groups = {}, {}
    for place, dimension in enumerate(dimensions):
        of_rows = [key[place] for key, _ in found]
        names[dimension] = tuple(sorted(set(of_rows)))
        place_of = {name: code for code, name in enumerate(names[dimension])}
        codes = [place_of[name] for name in of_rows]
        groups[dimension] = np.repeat(np.array(codes, dtype=np.int64), sizes)

    def known(name: str, parts_of_one: int) -> Any:
        values = whole[name].astype(np.int64)
        return np.where(values == NOTHING, np.nan, values / parts_of_one)

    sex = whole["sex"].astype(np.int64)
    return in_order(
        Records(
            person=whole["person"].astype(np.int64),
            day=whole["day"].astype(np.int64),
            analysis=whole["analysis"].astype(np.int64),
            sex=np.where(sex == NOTHING, -1, sex),
            age_years=known("age_e1", 10),
            imat=known("imat_e5", 100_000),
            lmm=known("lmm_e1", 10),
            imat_z=known("imat_z_e3", 1000),
            lmm_z=known("lmm_z_e3", 1000),
            flags=whole["flags"].astype(np.int64),
            groups=groups,
            names=names,
        )
    )
