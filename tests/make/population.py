"""Many results of many people over years, as the service would have published them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert

from service.core.extract import Extract, day_of, extract, pack, person_number
from service.core.status import AnalysisState, CompletionReason, DeliveryState, SeriesState
from service.db.session import Session
from service.db.tables import (
    Analysis,
    AnalysisInput,
    Delivery,
    Output,
    PopulationFamily,
    PopulationRow,
    Series,
    Study,
)
from tests.make.ledger import CT, NOW, make_finding

#: Rows of one statement.
BATCH = 1000
SCANNERS = ("SIEMENS Avanto_fit 1.5 T", "SIEMENS Vida 3.0 T", "PHILIPS Ingenia 3.0 T")
PROTOCOLS = ("t2_tse_tra_lws", "t2_tse_tra_long", "spine_ax")
KINDS = ("SEG", "SR", "SC", "PDF")


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """What is made: so many results, evenly over these months, the last of them this one."""

    results: int
    months: int = 24
    seed: int = 1
    #: Persons for each hundred results.
    persons: int = 90
    #: Values of the last months are so many times as large on the first scanner.
    drift: float = 1.0
    drift_months: int = 2
    #: Points of the profile in each finding.
    slices: int = 1
    #: Also objects and their deliveries.
    delivered: bool = False
    now: datetime = NOW


def fill(session: Session, crowd: Crowd, *, first_id: int = 1) -> None:
    """Add them, with ids from ``first_id``; what the population page needs is there for all."""
    random = Random(crowd.seed)
    template = make_finding(imat=0.2).as_dict()
    template["measures"]["profile"] *= crowd.slices
    families: dict[Any, int] = {}
    batch: list[dict[str, Any]] = []
    for number in range(crowd.results):
        batch.append(_one(crowd, random, template, first_id + number, number))
        if len(batch) == BATCH or number == crowd.results - 1:
            _write(session, batch, families, delivered=crowd.delivered)
            batch = []


def _one(crowd: Crowd, random: Random, template: dict[str, Any], key: int, number: int) -> dict[str, Any]:
    """One result, as values."""
    days = crowd.now - timedelta(days=365.25 / 12 * crowd.months * (1 - (number + 1) / crowd.results))
    at = min(days, crowd.now)
    person = random.randrange(crowd.results * crowd.persons // 100)
    of = Random(person)
    sex, age = of.choice("FM"), round(of.uniform(30, 85), 1)
    scanner = random.randrange(len(SCANNERS))
    late = at > crowd.now - timedelta(days=30 * crowd.drift_months)
    z = random.gauss(0, 1)
    imat = 0.08 + 0.002 * (age - 30) + (0.03 if sex == "F" else 0.0)
    imat *= 2.718281828 ** (0.3 * z) * (crowd.drift if late and scanner == 0 else 1.0)
    lean_z = random.gauss(-0.3 * z, 0.95)
    return {
        "key": key,
        "at": at,
        "patient_id": f"CROWD-{person}",
        "sex": sex,
        "finding": _finding(template, imat, z, lean_z, age, sex, SCANNERS[scanner]),
        "facts": {"protocol": PROTOCOLS[random.randrange(3)], "station_name": f"MR{scanner + 1}"},
        "sender": f"SITE{random.randrange(2) + 1}",
    }


def _finding(
    template: dict[str, Any], imat: float, z: float, lean_z: float, age: float, sex: str, scanner: str
) -> dict[str, Any]:
    """The template with these values; what does not change is shared, so nobody may change it."""
    lean_value = 150.0 + 25.0 * lean_z
    fat, lean = template["scores"]
    told = {"value": lean_value, "state": "scored", "reason": None, "z": lean_z, "norm": "lmm@1"}
    measures = template["measures"]
    raised = "raised" if z > 1.3 else "not_raised"
    return {
        **template,
        "person": {**template["person"], "age_years": age, "sex": sex, "height_m": 1.7},
        "series": {**template["series"], "scanner": scanner, "contrast": "t2_tse"},
        "measures": {
            **measures,
            "total": {**measures["total"], "imat_fraction": imat},
            "lmm_height_index_ml_m2": lean_value,
        },
        "scores": [{**fat, "z": z}, {**lean, **told}],
        "flags": [{**template["flags"][0], "state": raised}, *template["flags"][1:]],
    }


def _write(
    session: Session, batch: list[dict[str, Any]], families: dict[Any, int], *, delivered: bool
) -> None:
    tables: dict[Any, list[dict[str, Any]]] = {Study: [], Series: [], Analysis: [], AnalysisInput: []}
    tables |= {PopulationRow: [], Output: [], Delivery: []}
    for one in batch:
        day = day_of(one["at"].strftime("%Y%m%d"), one["at"].date())
        taken = extract(one["finding"], one["facts"], day=day)
        for table, row in _rows(one, taken, _family_id(session, taken, families), delivered=delivered):
            tables[table].append(row)
    for table, rows in tables.items():
        if rows:
            session.execute(insert(table), rows)


def _family_id(session: Session, taken: Extract, families: dict[Any, int]) -> int:
    if taken.family not in families:
        row = PopulationFamily(**asdict(taken.family))
        session.add(row)
        session.flush()
        families[taken.family] = row.id
    return families[taken.family]


def _rows(
    one: dict[str, Any], taken: Extract, family_id: int, *, delivered: bool
) -> Iterator[tuple[Any, dict[str, Any]]]:
    key, at = one["key"], one["at"]
    yield (
        Study,
        {
            "id": key,
            "study_uid": f"1.2.826.77.{key}",
            "patient_id": one["patient_id"],
            "sex": one["sex"],
            "study_date": at.strftime("%Y%m%d"),
            "created_at": at,
        },
    )
    yield (
        Series,
        {
            "id": key,
            "study_id": key,
            "series_uid": f"1.2.826.77.{key}.1",
            "state": SeriesState.CLOSED,
            "modality": "MR",
            "calling_ae": one["sender"],
            "completion_reason": CompletionReason.QUIET,
            "first_at": at,
            "last_at": at,
            "closed_at": at,
        },
    )
    yield (
        Analysis,
        {
            "id": key,
            "study_id": key,
            "input_digest": f"{key:064d}",
            "version": 1,
            "state": AnalysisState.MEASURED,
            "attempt": 1,
            "contrast": "t2_tse",
            "region": "lumbar",
            "finding": one["finding"],
            "flagged": taken.flags == 2,
            "choice": {"facts": one["facts"]},
            "object_time": at,
            "created_at": at,
            "started_at": at,
            "finished_at": at + timedelta(seconds=40),
        },
    )
    yield AnalysisInput, {"analysis_id": key, "series_id": key, "role": "image", "stack": 0}
    person = person_number(one["patient_id"].casefold())
    assert person is not None
    yield (
        PopulationRow,
        {
            "analysis_id": key,
            "study_id": key,
            "family_id": family_id,
            "person": person,
            "numbers": pack(taken, person=person, analysis=key),
            "norms": taken.norms,
            "scanner": taken.scanner,
            "protocol": taken.protocol,
            "site": one["sender"],
        },
    )
    for place, kind in enumerate(KINDS if delivered else ()):
        output = 4 * key + place
        yield (
            Output,
            {
                "id": output,
                "analysis_id": key,
                "kind": kind,
                "sop_class_uid": CT + "7.4",
                "sop_instance_uid": f"2.25.{10**20 + output}",
                "path": f"results/{key}/attempt-1/{kind}",
                "sha256": "0" * 64,
                "size": 1,
            },
        )
        yield (
            Delivery,
            {
                "output_id": output,
                "analysis_id": key,
                "peer": "pacs",
                "state": DeliveryState.CONFIRMED,
                "created_at": at,
                "sent_at": at,
                "confirmed_at": at,
            },
        )


def month(at: datetime) -> int:
    """As 202611."""
    return at.astimezone(UTC).year * 100 + at.astimezone(UTC).month
