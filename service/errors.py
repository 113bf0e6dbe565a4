"""Everything that can go wrong here, as one tree.

    ServiceError
    |- ConfigurationError     a setting, peer or file of the installation is wrong
    |- SchemaMismatch         the database is at another revision than this program
    |- UnreadableSeries       the pixels or headers cannot be turned into a volume
    |- NotEligible            an answer, not a failure: the stack is outside the intended use
    |- NotAssessable          an answer, not a failure: eligible, but no trustworthy measurement
    |- EditRefused            an answer, not a failure: an edited segmentation that is not taken
    |- ModelMismatch          the network on disk is not the one its card describes
    |- NotAsActivated         a file is not the one that was activated
    |- ProviderUnavailable    a demanded execution provider is not the one that ran
    |- NormMismatch           a reference table cannot be used as it is written
    |- LeaseLost              another worker owns this analysis now
    |- WorkerEnds             the worker was asked to end before this analysis was done
    |- RunnerLost             the process that works on the images hung, crashed or grew too large
    |- SpoolFull              no room is left to keep images
    |- BackupError            a backup cannot be made or put back as asked
    |- DemonstrationFailed    `myoscreen demo` did not come to its end
    |- InvalidRequest         what a person or program asked for cannot be done as asked
    |- LoginRefused           what an OpenID provider said of a person cannot be trusted or used
    `- DeliveryError          a result did not reach a peer (worth another try)
       |- PeerUnreachable
       `- StoreRefused

Each class has a stable ``code`` that is stored, logged and shown.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Reason:
    """Why a result is what it is: a stable code for machines and a sentence for people."""

    code: str
    text: str


class ServiceError(Exception):
    """Anything this service raises on purpose."""

    code: ClassVar[str] = "service_error"
    #: Whether the same call may succeed later without anybody changing anything.
    retry: ClassVar[bool] = False

    def __init__(self, text: str = "", *, reason: str | None = None) -> None:
        super().__init__(text or self.code)
        self.reason = Reason(reason or self.code, text or self.code)


class ConfigurationError(ServiceError):
    """A setting, a peer or a file of the installation is wrong."""

    code = "configuration_error"


class SchemaMismatch(ServiceError):
    """The database is at another revision than this program expects."""

    code = "schema_mismatch"


class UnreadableSeries(ServiceError):
    """The headers or pixels cannot be turned into a volume."""

    code = "unreadable_series"


class NotEligible(ServiceError):
    """The stack is outside the intended use of the network: an answer, not a failure."""

    code = "not_eligible"


class NotAssessable(ServiceError):
    """The stack was eligible, but no trustworthy measurement came of it."""

    code = "not_assessable"


class EditRefused(ServiceError):
    """An edited segmentation that came back is not taken: an answer, not a failure."""

    code = "edit_refused"


class ModelMismatch(ServiceError):
    """The network on disk is not the one that its card describes."""

    code = "model_mismatch"


class NotAsActivated(ServiceError):
    """A file behind what is in force is not the one that was activated."""

    code = "not_as_activated"


class ProviderUnavailable(ServiceError):
    """A demanded execution provider is not the one that the session uses."""

    code = "provider_unavailable"


class NormMismatch(ServiceError):
    """A reference table cannot be used as it is written."""

    code = "norm_mismatch"


class LeaseLost(ServiceError):
    """Another worker owns this analysis now, so nothing may be published."""

    code = "lease_lost"


class WorkerEnds(ServiceError):
    """The worker was asked to end before this analysis was done; the attempt does not count."""

    code = "worker_ends"
    retry = True


class RunnerLost(ServiceError):
    """The process that works on the images hung, crashed or grew too large, and was ended alone."""

    code = "runner_lost"
    retry = True


class SpoolFull(ServiceError):
    """No room is left to keep images."""

    code = "spool_full"
    retry = True


class InvalidRequest(ServiceError):
    """What a person or program asked for cannot be done as asked."""

    code = "invalid_request"


class LoginRefused(ServiceError):
    """What an OpenID provider said of a person cannot be trusted or used."""

    code = "login_refused"


class BackupError(ServiceError):
    """A backup cannot be made or put back as asked."""

    code = "backup_failed"


class DemonstrationFailed(ServiceError):
    """`myoscreen demo` did not come to its end."""

    code = "demonstration_failed"


class DeliveryError(ServiceError):
    """A result did not reach a peer."""

    code = "delivery_error"
    retry = True


class PeerUnreachable(DeliveryError):
    """No association with the peer could be made, or it broke."""

    code = "peer_unreachable"


class StoreRefused(DeliveryError):
    """The peer answered, and refused an object."""

    code = "store_refused"
