"""The tables. The row is the job: whatever must survive a restart stands in one of these.

Times are timezone-aware UTC. UIDs are as received; nothing from a header is ever used as a path.
"""

from service.db.tables.analyses import CURRENT, PAST, Analysis, AnalysisInput, Output
from service.db.tables.base import Base, BigId, UtcDateTime
from service.db.tables.deliveries import CommitmentRequest, Delivery, PeerCircuit
from service.db.tables.people import ApiKey, Opening, ProviderAnswer, User, WebSession
from service.db.tables.population import DriftLook, PopulationFamily, PopulationRow
from service.db.tables.reading import Edit, FlagHandling, LegalHold, OptOut, ReplayOrder, Review
from service.db.tables.received import (
    NEVER_AGAIN,
    Instance,
    PerformedSeries,
    PerformedStep,
    Series,
    SetAside,
    Study,
)
from service.db.tables.record import Activation, AuditEntry, AuditOutbox, SettingSeen
from service.db.tables.running import (
    Backfill,
    Counter,
    Door,
    Event,
    Notice,
    OpenTrouble,
    RejectedCaller,
    SelfTest,
)

__all__ = [
    "CURRENT",
    "NEVER_AGAIN",
    "PAST",
    "Activation",
    "Analysis",
    "AnalysisInput",
    "ApiKey",
    "AuditEntry",
    "AuditOutbox",
    "Backfill",
    "Base",
    "BigId",
    "CommitmentRequest",
    "Counter",
    "Delivery",
    "Door",
    "DriftLook",
    "Edit",
    "Event",
    "FlagHandling",
    "Instance",
    "LegalHold",
    "Notice",
    "OpenTrouble",
    "Opening",
    "OptOut",
    "Output",
    "PeerCircuit",
    "PerformedSeries",
    "PerformedStep",
    "PopulationFamily",
    "PopulationRow",
    "ProviderAnswer",
    "RejectedCaller",
    "ReplayOrder",
    "Review",
    "SelfTest",
    "Series",
    "SetAside",
    "SettingSeen",
    "Study",
    "User",
    "UtcDateTime",
    "WebSession",
]
