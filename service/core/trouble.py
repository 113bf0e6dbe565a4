"""What is wrong with an installation, judged from what is known of it. No patient data goes in or comes out.

`myoscreen doctor`, `myoscreen check`, the status page and the notifications all judge by this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
#: Without these nothing comes in, or nothing is analysed.
ESSENTIAL_DOORS: Final = ("receiver", "worker")


class Severity(StrEnum):
    """How much it matters, from what may wait to what stops the work."""

    #: Worth knowing; nothing need be done.
    NOTE = "note"
    #: Somebody should look today.
    WARNING = "warning"
    #: Images are refused, or results stop.
    CRITICAL = "critical"


#: From the mildest.
ORDER: Final = tuple(Severity)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One thing that is wrong; ``service.core.trouble_words`` says it in sentences."""

    code: str
    severity: Severity
    #: Which peer, door, certificate or file; empty where there is only one.
    about: str = ""
    #: Numbers and codes for the sentences.
    values: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What stays the same as long as it is the same trouble."""
        return f"{self.code}:{self.about}" if self.about else self.code


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From where on a number is trouble.

    Chosen by us for a site of some ten series an hour, as the alert rules of ``deploy/monitoring`` are.
    """

    #: Analyses that wait or run.
    queue: int = 50
    #: Of the oldest analysis that waits.
    waiting_seconds: float = HOUR
    #: Of the longest that runs: the usual deadline of an analysis, and the time of a lease.
    running_seconds: float = 31 * MINUTE
    #: Of the oldest object that is not stored.
    delivery_seconds: float = HOUR
    #: Since when a peer cannot be reached.
    away_seconds: float = 15 * MINUTE
    #: Since the last image: a broken route. A site that rests at week-ends sets more.
    silent_seconds: float = DAY
    #: In which images come and no analysis is finished.
    lag_seconds: float = 2 * HOUR
    #: Free room as a multiple of that at which images are refused, and as a share of the disk.
    disk_times: float = 2.0
    disk_share: float = 0.05
    #: Days that a certificate is still valid: an authority in a hospital may take weeks to renew one.
    certificate_days: float = 30.0
    certificate_days_critical: float = 7.0
    #: How far clocks of two hosts may differ (as in ``service.db.clock``).
    clock_seconds: float = MINUTE
    unsealed_seconds: float = 10 * MINUTE
    #: Of the oldest result that is held for a review: chosen by us, who reviews each day is not told.
    review_seconds: float = DAY
    #: Of the oldest line of the audit record that its collector has not.
    unreported_seconds: float = 15 * MINUTE


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """What an installation is judged by; ages in seconds, None where there was never such a thing."""

    #: The database answers; where it does not, nothing else is known.
    database: bool = True
    #: What of spool, broker and model is not in order, and why.
    broken: Mapping[str, str] = field(default_factory=dict)
    #: Living processes of each door.
    doors: Mapping[str, int] = field(default_factory=dict)
    #: Living processes of another version than the one that looks, by door.
    other_versions: Mapping[str, str] = field(default_factory=dict)
    queue: int = 0
    waiting_seconds: float | None = None
    running_seconds: float | None = None
    delivery_seconds: float | None = None
    received_seconds: float | None = None
    success_seconds: float | None = None
    #: Since when images have come of which none led to a result.
    unanswered_seconds: float | None = None
    #: Analyses given up within a day, and images that came otherwise under a known identifier.
    failed: int = 0
    conflicts: int = 0
    #: Since when each peer is away, and how many objects each has refused for good.
    away: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    #: Callers turned away within a day.
    rejected: int = 0
    disk_free_bytes: int = 0
    disk_total_bytes: int = 0
    disk_least_bytes: int = 0
    images_refused: bool = False
    #: Days that each certificate is still valid, and what is wrong with one.
    certificates: Mapping[str, float] = field(default_factory=dict)
    certificate_problems: Mapping[str, str] = field(default_factory=dict)
    #: How far the times of other hosts are ahead of this one's.
    ahead_seconds: float = 0.0
    unsealed_seconds: float | None = None
    unreported_seconds: float | None = None
    #: The last self-test: code of its outcome ("passed" if so), None where there was none; and its age.
    self_test: str | None = None
    self_test_seconds: float | None = None
    #: Notifications that could not be sent.
    unsent_notices: int = 0
    #: Results of which something is held until a reviewer accepts them, and since when the first of them.
    reviews: int = 0
    review_seconds: float | None = None
    #: How many groups of results left their control limits, by measure and dimension, as "imat scanner".
    drift: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Vitals":
        """From what ``dataclasses.asdict`` made of them, also by a later version that says more."""
        return cls(**{name: told[name] for name in cls.__dataclass_fields__ if name in told})


def find_troubles(vitals: Vitals, limits: Limits | None = None) -> tuple[Trouble, ...]:
    """Everything that is wrong, the worst first."""
    terms = limits or Limits()
    if not vitals.database:
        return (Trouble(code="database_down", severity=Severity.CRITICAL),)
    found = (
        *_parts(vitals),
        *_room(vitals, terms),
        *_certificates(vitals, terms),
        *_work(vitals, terms),
        *_flow(vitals, terms),
        *_peers(vitals, terms),
        *_housekeeping(vitals, terms),
    )
    return tuple(sorted(found, key=lambda trouble: -ORDER.index(trouble.severity)))


def worst(troubles: tuple[Trouble, ...]) -> Severity | None:
    """The severity that counts for all; None where nothing is wrong."""
    return max((trouble.severity for trouble in troubles), key=ORDER.index, default=None)


def _parts(vitals: Vitals) -> Iterator[Trouble]:
    for part, reason in vitals.broken.items():
        yield Trouble(code=f"{part}_broken", severity=Severity.CRITICAL, values={"reason": reason})
    for door in ESSENTIAL_DOORS:
        if not vitals.doors.get(door):
            yield Trouble(code="door_gone", severity=Severity.CRITICAL, about=door)
    for door, version in vitals.other_versions.items():
        yield Trouble(
            code="other_version", severity=Severity.WARNING, about=door, values={"version": version}
        )


def _room(vitals: Vitals, limits: Limits) -> Iterator[Trouble]:
    free, least = vitals.disk_free_bytes, vitals.disk_least_bytes
    values = {"free_mb": free // 1_000_000}
    if vitals.images_refused or free < least:
        yield Trouble(code="disk_full", severity=Severity.CRITICAL, values=values)
    elif free < max(limits.disk_times * least, limits.disk_share * vitals.disk_total_bytes):
        yield Trouble(code="disk_low", severity=Severity.WARNING, values=values)


def _certificates(vitals: Vitals, limits: Limits) -> Iterator[Trouble]:
    for name, problem in vitals.certificate_problems.items():
        values: dict[str, float | str] = {"reason": problem}
        yield Trouble(code="certificate_wrong", severity=Severity.CRITICAL, about=name, values=values)
    for name, days in vitals.certificates.items():
        if days < limits.certificate_days:
            soon = days < limits.certificate_days_critical
            severity = Severity.CRITICAL if soon else Severity.WARNING
            code = "certificate_ended" if days < 0 else "certificate_ends"
            yield Trouble(code=code, severity=severity, about=name, values={"days": max(0, int(days))})


def _work(vitals: Vitals, limits: Limits) -> Iterator[Trouble]:
    if vitals.queue > limits.queue:
        yield Trouble(code="backlog", severity=Severity.WARNING, values={"count": vitals.queue})
    for code, age, limit in (
        ("waits_too_long", vitals.waiting_seconds, limits.waiting_seconds),
        ("runs_too_long", vitals.running_seconds, limits.running_seconds),
        ("delivers_too_late", vitals.delivery_seconds, limits.delivery_seconds),
    ):
        if age is not None and age > limit:
            yield Trouble(code=code, severity=Severity.WARNING, values={"seconds": age})
    if vitals.failed:
        yield Trouble(code="analyses_failed", severity=Severity.WARNING, values={"count": vitals.failed})
    if vitals.conflicts:
        yield Trouble(code="images_set_aside", severity=Severity.WARNING, values={"count": vitals.conflicts})


def _flow(vitals: Vitals, limits: Limits) -> Iterator[Trouble]:
    """Whether images come, and results after them."""
    received, unanswered = vitals.received_seconds, vitals.unanswered_seconds
    if received is None:
        yield Trouble(code="nothing_received", severity=Severity.NOTE)
        return
    if received > limits.silent_seconds:
        yield Trouble(code="no_images", severity=Severity.WARNING, values={"seconds": received})
    if unanswered is not None and unanswered > limits.lag_seconds:
        values = {"seconds": unanswered}
        yield Trouble(code="no_results", severity=Severity.CRITICAL, values=values)


def _peers(vitals: Vitals, limits: Limits) -> Iterator[Trouble]:
    for peer, age in vitals.away.items():
        if age > limits.away_seconds:
            yield Trouble(code="peer_away", severity=Severity.WARNING, about=peer, values={"seconds": age})
    for peer, count in vitals.refused.items():
        yield Trouble(code="peer_refuses", severity=Severity.WARNING, about=peer, values={"count": count})
    if vitals.rejected:
        yield Trouble(code="callers_rejected", severity=Severity.NOTE, values={"count": vitals.rejected})


def _housekeeping(vitals: Vitals, limits: Limits) -> Iterator[Trouble]:
    if vitals.ahead_seconds > limits.clock_seconds:
        values = {"seconds": vitals.ahead_seconds}
        yield Trouble(code="clock_differs", severity=Severity.WARNING, values=values)
    if vitals.unsealed_seconds is not None and vitals.unsealed_seconds > limits.unsealed_seconds:
        values = {"seconds": vitals.unsealed_seconds}
        yield Trouble(code="audit_not_sealed", severity=Severity.WARNING, values=values)
    if vitals.unreported_seconds is not None and vitals.unreported_seconds > limits.unreported_seconds:
        values = {"seconds": vitals.unreported_seconds}
        yield Trouble(code="audit_not_reported", severity=Severity.WARNING, values=values)
    if vitals.self_test not in (None, "passed"):
        yield Trouble(
            code="self_test_failed", severity=Severity.WARNING, values={"reason": str(vitals.self_test)}
        )
    if vitals.review_seconds is not None and vitals.review_seconds > limits.review_seconds:
        waits: dict[str, float | str] = {"count": vitals.reviews, "seconds": vitals.review_seconds}
        yield Trouble(code="reviews_waiting", severity=Severity.WARNING, values=waits)
    for about, count in vitals.drift.items():
        if count:
            yield Trouble(
                code="values_drift", severity=Severity.WARNING, about=about, values={"count": count}
            )
    if vitals.unsent_notices:
        yield Trouble(
            code="notices_unsent", severity=Severity.WARNING, values={"count": vitals.unsent_notices}
        )
