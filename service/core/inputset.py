"""The stacks that go into one analysis, each in its role."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from service.core.series import Role, StackFacts
from service.core.volume import Grid
from service.errors import Reason


class Placed(Protocol):
    """A stack: what its headers say, and where it lies."""

    @property
    def facts(self) -> StackFacts:
        """What the headers say."""
        ...

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        ...


P = TypeVar("P", bound=Placed)
#: Roles of a stack that lies on the grid of the one before it.
FAT_ROLES = frozenset({Role.FAT, Role.STATION_FAT})


@dataclass(frozen=True, kw_only=True, eq=False)
class InputSet(Generic[P]):
    """The stacks of one analysis in their roles; results lie on the grid of the first.

    Of several stations the most caudal one comes first. A fat image follows its water image.
    """

    stacks: tuple[tuple[Role, P], ...]
    #: Why water and fat belong together, by the attributes that say so; "" for a single stack.
    evidence: str = ""
    #: Why a stack was not put together with others although there are candidates.
    unpaired: Reason | None = None

    @property
    def first(self) -> P:
        """The stack whose grid is that of the results."""
        return self.stacks[0][1]

    @property
    def role(self) -> Role:
        """The role of the first stack."""
        return self.stacks[0][0]

    @property
    def fat(self) -> P | None:
        """The fat image of a Dixon pair; of several stations that of the first."""
        return self.stations[0].stacks[1][1] if len(self.stations[0].stacks) > 1 else None

    @property
    def stations(self) -> tuple["InputSet[P]", ...]:
        """Each station as an input set of its own, from caudal to cranial; this one where it is the only."""
        starts = [index for index, (role, _) in enumerate(self.stacks) if role not in FAT_ROLES]
        if len(starts) == 1:
            return (self,)
        ends = [*starts[1:], len(self.stacks)]
        return tuple(
            alone(tuple(stack for _, stack in self.stacks[start:end]), evidence=self.evidence)
            for start, end in zip(starts, ends, strict=True)
        )


def alone(stacks: tuple[P, ...], *, evidence: str = "") -> InputSet[P]:
    """The input set of one image, or of a water image and the fat image behind it."""
    if len(stacks) == 1:
        return InputSet(stacks=((Role.IMAGE, stacks[0]),), evidence=evidence)
    water, fat = stacks
    return InputSet(stacks=((Role.WATER, water), (Role.FAT, fat)), evidence=evidence)
