"""What a sweeper sees of work that somebody holds."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One running analysis or delivery, and how far its heartbeat got."""

    id: int
    attempt: int
    heartbeat: int
