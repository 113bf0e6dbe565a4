"""What is known of this installation, in the form in which it is judged (``service.core.trouble``)."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import service
from service.core.circuit import CircuitState
from service.core.trouble import DAY, Vitals
from service.db import overview
from service.db.overview import DoorFacts, Overview
from service.db.session import Sessions, reading
from service.db.vitals import Signs, signs

__all__ = ["CERTIFICATES", "Signs", "Site", "judged_by", "look", "signs"]

#: Where a door tells of a certificate, and how it is called in sentences.
CERTIFICATES = {"tls": "DICOM TLS", "https": "HTTPS"}


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the settings say about this installation, as far as it is judged by that."""

    home: Path
    #: Free room below which images are refused.
    least_bytes: int
    #: Peers of the settings: what is known of others does not matter any more.
    peers: tuple[str, ...] = ()
    #: What of spool, broker and model is not in order, and why.
    broken: Mapping[str, str] = field(default_factory=dict)
    #: Whether the audit record is sent to a collector.
    reports_audit: bool = False


def look(sessions: Sessions, site: Site, *, now: datetime) -> Vitals:
    """Everything that is known now."""
    try:
        with reading(sessions) as session:
            facts, found = overview.overview(session, now), signs(session, now=now)
    except overview.DatabaseTrouble:
        return Vitals(database=False)
    return judged_by(facts, found, site, now=now)


def judged_by(facts: Overview, found: Signs, site: Site, *, now: datetime) -> Vitals:
    """The same from what was read already."""
    usage = shutil.disk_usage(site.home)
    alive = [door for door in facts.doors if door.alive]

    def age(at: datetime | None) -> float | None:
        return None if at is None else max(0.0, (now - at).total_seconds())

    return Vitals(
        broken=site.broken,
        doors={name: sum(door.name == name for door in alive) for name in sorted({d.name for d in alive})},
        other_versions={door.name: door.version for door in alive if door.version != service.__version__},
        queue=facts.queue_depth,
        waiting_seconds=age(facts.oldest_waiting_at),
        running_seconds=age(found.oldest_running_at),
        delivery_seconds=age(facts.oldest_delivery_at),
        received_seconds=age(facts.last_received_at),
        success_seconds=age(facts.last_success_at),
        unanswered_seconds=age(facts.unanswered_since),
        failed=found.failed,
        conflicts=found.conflicts,
        away={
            peer: age(circuit.since) or 0.0
            for peer, circuit in facts.circuits.items()
            if circuit.state != CircuitState.CLOSED and peer in site.peers
        },
        refused={peer: count for peer, count in found.refused.items() if peer in site.peers},
        rejected=found.rejected,
        disk_free_bytes=usage.free,
        disk_total_bytes=usage.total,
        disk_least_bytes=site.least_bytes,
        images_refused=any(bool((door.detail or {}).get("spool_full")) for door in alive),
        certificates=_certificates(alive, now=now),
        certificate_problems=_problems(alive),
        ahead_seconds=max([0.0, *((at - now).total_seconds() for at in _written(facts))]),
        unsealed_seconds=age(facts.oldest_unsealed_at),
        unreported_seconds=age(facts.oldest_unreported_at) if site.reports_audit else None,
        self_test=None if found.self_test is None else found.self_test.outcome,
        self_test_seconds=None if found.self_test is None else age(found.self_test.finished_at),
        unsent_notices=found.unsent,
        reviews=found.held,
        review_seconds=age(found.held_since),
        drift=found.drift,
    )


def _written(facts: Overview) -> list[datetime]:
    """The latest times that other processes wrote by their own clocks."""
    times = [*(door.seen_at for door in facts.doors), facts.last_received_at, facts.last_success_at]
    return [at for at in times if at is not None]


def _certificates(doors: list[DoorFacts], *, now: datetime) -> dict[str, float]:
    """Days that each certificate is still valid."""
    days = {}
    for door in doors:
        for key, name in CERTIFICATES.items():
            until = ((door.detail or {}).get(key) or {}).get("valid_until")
            if until is not None:
                days[name] = (datetime.fromisoformat(until) - now).total_seconds() / DAY
    return days


def _problems(doors: list[DoorFacts]) -> dict[str, str]:
    """What the doors say is wrong with their certificates."""
    return {
        name: str(problem).replace("_", " ")
        for door in doors
        for key, name in CERTIFICATES.items()
        if (problem := ((door.detail or {}).get(key) or {}).get("problem")) is not None
    }
