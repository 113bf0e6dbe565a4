"""What new scores would change, told beforehand: arithmetic alone, nothing is written."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from service.core.finding import Finding
from service.db import priors
from service.db.session import Sessions, reading
from service.errors import InvalidRequest
from service.files import within
from service.pipeline.job import JobBefore
from service.pipeline.kept import read_kept
from service.pipeline.rescore import Scale, read_finding, scored_again
from service.pipeline.rescoring import require_rescorable


@dataclass(frozen=True, kw_only=True)
class Look:
    """What became of one analysis that was looked at."""

    analysis_id: int
    #: Of the version that is current; None where there is none to score.
    version: int | None = None
    #: "changes", "same", or the code of why it cannot be.
    outcome: str
    #: What would be another: "imat_fraction", "flag imat_high", "quadrant", "change".
    changes: tuple[str, ...] = ()


def look(sessions: Sessions, analysis_id: int, scale: Scale, *, home: Path) -> Look:
    """What scoring the measures of one analysis again would change."""
    try:
        with reading(sessions) as session:
            source = require_rescorable(session, analysis_id, home)
            if source is None:
                return Look(analysis_id=analysis_id, outcome="not_found")
            before = priors.earlier_findings(session, source.id)
        stored = read_finding(source.finding)
        with tempfile.TemporaryDirectory() as desk:
            kept = read_kept(within(home, source.result_path), Path(desk))
            earlier = [JobBefore(finding=finding, days=days) for finding, days in before]
            scored = scored_again(stored, kept, scale, earlier)
    except InvalidRequest as error:
        return Look(analysis_id=analysis_id, outcome=error.reason.code)
    changes = changed(stored, scored)
    outcome = "same" if scored is stored else "changes"
    return Look(analysis_id=analysis_id, version=source.version, outcome=outcome, changes=changes)


def changed(before: Finding, after: Finding) -> tuple[str, ...]:
    """Names of what differs between two findings of the same measures."""
    scores = _names((score.measure, score) for score in (*before.scores, *after.scores))
    flags = _names((f"flag {flag.code}", flag) for flag in (*before.flags, *after.flags))
    rest = [part for part in ("quadrant", "change") if getattr(before, part) != getattr(after, part)]
    return (*scores, *flags, *rest)


def _names(pairs: Iterable[tuple[str, object]]) -> list[str]:
    """Names of which not every value is the same, or that stand once only."""
    found: dict[str, list[object]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return [name for name, values in found.items() if len(values) < 2 or values[0] != values[1]]
