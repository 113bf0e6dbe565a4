"""What a peer says of past studies, and what came of having one sent."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Found:
    """A study that a peer has."""

    study_uid: str
    accession_number: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    modalities: tuple[str, ...] = ()

    @property
    def may_hold_mr(self) -> bool:
        """Whether nothing says that it has no MR."""
        return not self.modalities or "MR" in self.modalities


@dataclass(frozen=True)
class FoundSeries:
    """An MR series of a study."""

    series_uid: str
    #: None where the peer does not say.
    images: int | None


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How many images came, and how many did not."""

    images: int
    failed: int
