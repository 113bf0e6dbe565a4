"""What an installation measures and scores with, as its files are: told by name, version and hash.

No database: the process that touches the images uses this too.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from service.core.activation import Kind, Piece, Thing, names_of
from service.errors import ConfigurationError, ModelMismatch, NotAsActivated, ServiceError
from service.inference.card import read_card
from service.pipeline.references import bundled_models_dir, read_norms, read_policy, read_rules, rules_path

RULES_FOLDER = "rules"
#: Characters of a file's name that are told; as file systems allow (NAME_MAX).
LONGEST_FILE = 255


def describe(kind: Kind, name: str, models_dir: Path) -> Thing:
    """One thing as its files say; raises a ServiceError naming what is wrong in them."""
    read = {Kind.NETWORK: _network, Kind.NORMS: _norms, Kind.POLICY: _policy, Kind.RULES: _rules}
    try:
        version, paths = read[kind](name, models_dir)
        pieces = tuple(_piece(path, models_dir) for path in paths)
    except OSError as error:
        raise _unread(kind, error) from error
    return Thing(kind=kind, name=name, version=version, pieces=pieces)


def require_unchanged(kind: Kind, pieces: Iterable[Piece], models_dir: Path) -> None:
    """Raise NotAsActivated unless every file is there and is the one that was activated."""
    for piece in pieces:
        path = _place(piece.path, models_dir)
        try:
            same = _hash(path) == piece.sha256
        except OSError as error:
            raise NotAsActivated(
                f"{kind.value.capitalize()}: {_told(piece)} was activated and is not there any more.",
                reason="activated_file_missing",
            ) from error
        if not same:
            raise NotAsActivated(
                f"{kind.value.capitalize()}: {_told(piece)} is not the file that was activated.",
                reason="activated_file_changed",
            )


def _told(piece: Piece) -> str:
    """Its place in the models folder; elsewhere its name alone, for `readyz` tells it to anybody."""
    return Path(piece.path).name if Path(piece.path).is_absolute() else piece.path


def _unread(kind: Kind, error: OSError) -> ServiceError:
    """A file that is not there yet, or that this account may not read; told without its folder."""
    file = Path(str(error.filename)).name
    text = f"{kind.value.capitalize()}: {file[:LONGEST_FILE]} cannot be read: {error.strerror}."
    if kind is Kind.NETWORK:
        return ModelMismatch(text, reason="model_missing")
    return ConfigurationError(text, reason="unknown_thing")


def choices(models_dir: Path) -> Mapping[Kind, tuple[str, ...]]:
    """What lies in the models folder, by name; whether it can be used is another question."""

    def stems(*folders: Path) -> tuple[str, ...]:
        return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.toml")}))

    return {
        Kind.NETWORK: tuple(sorted(path.parent.name for path in models_dir.glob("*/card.toml"))),
        Kind.NORMS: stems(models_dir / "norms"),
        Kind.POLICY: stems(models_dir / "policies"),
        Kind.RULES: stems(models_dir / RULES_FOLDER, bundled_models_dir() / RULES_FOLDER),
    }


def _network(name: str, models_dir: Path) -> tuple[str, list[Path]]:
    """The card counts too: thresholds and intended use stand in it."""
    folder = models_dir / Path(name).name
    card = read_card(folder)
    return card.version, [folder / "card.toml", *(each.path for each in card.weights)]


def _norms(name: str, models_dir: Path) -> tuple[str, list[Path]]:
    names = names_of(name)
    tables = read_norms(models_dir, names)
    versions = ",".join(table.version for table in tables)
    return versions, [models_dir / "norms" / f"{each}.toml" for each in names]


def _policy(name: str, models_dir: Path) -> tuple[str, list[Path]]:
    return read_policy(models_dir, name).version, [models_dir / "policies" / f"{name}.toml"]


def _rules(name: str, models_dir: Path) -> tuple[str, list[Path]]:
    return read_rules(models_dir, name).version, [rules_path(models_dir, name)]


def _piece(path: Path, models_dir: Path) -> Piece:
    """A file by its place in the models folder; rules may lie elsewhere."""
    for folder in (models_dir, bundled_models_dir()):
        if path.is_relative_to(folder):
            return Piece(path=path.relative_to(folder).as_posix(), sha256=_hash(path))
    return Piece(path=str(path.absolute()), sha256=_hash(path))


def _place(relative: str, models_dir: Path) -> Path:
    """Where a piece lies; rules of the program itself need not be in a models folder of one's own."""
    own = models_dir / relative
    if relative.startswith(f"{RULES_FOLDER}/") and not own.is_file():
        return bundled_models_dir() / relative
    return own


def _hash(path: Path) -> str:
    """SHA-256 of a file, computed again only when it changed: it is asked for before each analysis."""
    facts = path.stat()
    return _hashed(path, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino)


@lru_cache(maxsize=256)
def _hashed(path: Path, *_stamps: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
