"""What can be activated, what identifies it, and where an activation stands."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What of an installation is activated as one thing."""

    NETWORK = "network"
    #: Reference tables, in the order in which they are tried.
    NORMS = "norms"
    POLICY = "policy"
    RULES = "rules"


class ActivationState(StrEnum):
    """Where an activation stands."""

    #: Waits for another administrator.
    PROPOSED = "proposed"
    #: In force; one of each kind at most.
    ACTIVE = "active"
    #: Was in force until a later one took its place.
    REPLACED = "replaced"
    #: Never in force.
    REFUSED = "refused"
    #: Was in force until it was rolled back.
    ROLLED_BACK = "rolled_back"


#: The actor of what the settings ask for; the name of no user, because of the space in it.
BY_SETTINGS: Final = "the settings"
#: Characters of a reason; chosen by us, as comments elsewhere.
LONGEST_REASON: Final = 500
LONGEST_NAME: Final = 512
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: Reasons for which nothing is analysed until somebody looks: what is in force is not what was activated.
NOT_AS_ACTIVATED: Final = frozenset({"activated_file_changed", "activated_file_missing"})


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One file of a thing, by its place in the models folder, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One network, policy or set of rules, or the reference tables together, as the files are."""

    kind: Kind
    #: As the settings write it; tables with commas between.
    name: str
    version: str
    pieces: tuple[Piece, ...]

    @property
    def sha256(self) -> str:
        """What stands for all its files."""
        return hash_of(self.pieces)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What is in force: the name of each kind, and the hash that was recorded for it, where one was."""

    names: Mapping[Kind, str]
    hashes: Mapping[Kind, str]
    #: Every file behind these hashes.
    pieces: Mapping[Kind, tuple[Piece, ...]]

    def as_settings(self) -> dict[str, str | tuple[str, ...]]:
        """The settings of these names, as if somebody had written them there."""
        return {
            "model": self.names[Kind.NETWORK],
            "norms": names_of(self.names[Kind.NORMS]),
            "policy": self.names[Kind.POLICY],
            "rules": self.names[Kind.RULES],
        }


def hash_of(pieces: Sequence[Piece]) -> str:
    """The SHA-256 of the only file, else of the lines that ``sha256sum`` prints for all of them."""
    if len(pieces) == 1:
        return pieces[0].sha256
    lines = "".join(f"{piece.sha256}  {piece.path}\n" for piece in pieces)
    return hashlib.sha256(lines.encode()).hexdigest()


def names_of(text: str) -> tuple[str, ...]:
    """The tables in a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def tidy(kind: Kind, name: str) -> str:
    """A name as it is kept: without what surrounds it, tables with a comma alone between them."""
    return ",".join(names_of(name)) if kind is Kind.NORMS else name.strip()


def is_plain(kind: Kind, name: str) -> bool:
    """Whether a tidy name can be that of something in the models folder, and leads nowhere else."""
    parts = names_of(name) if kind is Kind.NORMS else (name,)
    if kind is Kind.RULES and name.endswith(".toml"):  # A path, as the settings may name one.
        return False
    return len(name) <= LONGEST_NAME and all(_PLAIN.fullmatch(part) for part in parts)
