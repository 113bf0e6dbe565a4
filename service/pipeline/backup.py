"""The verbs "back up" and "restore": rows, images, results, settings, secrets and networks in one folder.

The rows are taken as of one moment; then the files that they name are copied. Files never change once a
row names them, and nothing is purged meanwhile, so the copy fits together while the service runs.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from service.db import dump, optouts, retention
from service.db.session import Session, revision
from service.errors import BackupError
from service.files import (
    PRIVATE_FILE,
    make_private_dir,
    one_at_a_time,
    settle,
    sha256_of,
    sync_dir,
    within,
    write_atomically,
)
from service.pipeline import privacy
from service.pipeline.retention import LOCK

log = logging.getLogger(__name__)

FORMAT = "myoscreen.backup/1"
MANIFEST = "manifest.json"
ROWS, FILES, SETTINGS, MODELS = "database", "files", "settings", "models"
#: Below HOME. Without them nobody can tell who is on the opt-out list, and whom the audit record means.
KEYS = (optouts.KEY_NAME, privacy.KEY_NAME)
#: Where settings, secrets and networks of a copy are put below HOME; a person puts them where they belong.
RESTORED = "restored"
#: Folders below HOME that a restore fills.
OURS = ("spool", "results", RESTORED)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One installation: its database and its folder."""

    database_url: str
    home: Path


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What belongs to an installation and lies elsewhere: by name in the copy, the file or folder."""

    #: The settings file and the files of secrets.
    settings: Mapping[str, Path] = field(default_factory=dict)
    #: The network, the norms and the policies.
    models: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a copy holds."""

    files: int
    size: int
    rows: int
    #: Paths below HOME that the rows name but that are missing or not what they were.
    damaged: tuple[str, ...]


def backup(
    place: Place, out: Path, extras: Extras, *, version: str, now: datetime, base: Path | None = None
) -> Copied:
    """Copy the whole installation into the new folder ``out``; what ``base`` has already is linked.

    The manifest is written last: a folder without one is no backup. Raises BackupError when ``out`` holds
    something, or while a purge or another backup is under way.
    """
    if out.exists() and any(out.iterdir()):
        raise BackupError("The folder for the backup is not empty.", reason="not_empty")
    at_revision = revision(place.database_url)
    if at_revision is None:
        raise BackupError("There is no database to back up.", reason="nothing_to_back_up")
    make_private_dir(out)
    with one_at_a_time(place.home / LOCK) as mine:
        if not mine:
            raise BackupError("A purge or another backup is under way; try again.", reason="busy")
        make_private_dir(out / ROWS)
        manifest: dict[str, dict[str, Any]] = {}
        # Before the rows: no head of the audit record may count lines that are not among them.
        for name, source in extras.settings.items():
            _copy_tree(source, out, f"{SETTINGS}/{name}", manifest)
        counts, (images, results, objects) = dump.dump(place.database_url, out / ROWS, _named)
        earlier = _earlier(base)
        for key in filter(lambda name: (place.home / name).is_file(), KEYS):
            _copy(place.home / key, out, f"{FILES}/{key}", manifest)
        damaged = _copy_images(place.home, out, images, manifest, earlier=earlier)
        damaged += _copy_results(place.home, out, results, manifest)
        damaged += [
            path
            for path, digest in objects
            if manifest.get(f"{FILES}/{path}", {}).get("sha256") != digest and path not in damaged
        ]
    for name, source in extras.models.items():
        _copy_tree(source, out, f"{MODELS}/{name}", manifest)
    for path in sorted((out / ROWS).iterdir()):
        manifest[f"{ROWS}/{path.name}"] = {"sha256": sha256_of(path), "size": path.stat().st_size}
    settle(out / ROWS)
    content = {
        "format": FORMAT,
        "software": version,
        "revision": at_revision,
        "made_at": now.isoformat(),
        "rows": counts,
        "damaged": damaged,
        "files": manifest,
    }
    write_atomically(out / MANIFEST, json.dumps(content, indent=1).encode())
    return Copied(
        files=len(manifest),
        size=sum(item["size"] for item in manifest.values()),
        rows=sum(counts.values()),
        damaged=tuple(damaged),
    )


_Named = tuple[list[tuple[str, str]], list[str], list[tuple[str, str]]]


def _named(session: Session) -> _Named:
    """What the rows name: images with their digest, folders of results, and objects with their digest."""
    return retention.kept_files(session), retention.kept_results(session), retention.kept_objects(session)


def _earlier(base: Path | None) -> tuple[Path, dict[str, Any]] | None:
    return None if base is None else (base, read_manifest(base)["files"])


def _copy_images(
    home: Path,
    out: Path,
    images: Sequence[tuple[str, str]],
    manifest: dict[str, dict[str, Any]],
    *,
    earlier: tuple[Path, dict[str, Any]] | None,
) -> list[str]:
    """Copy the images; those that are missing, or no longer the bytes that came."""
    damaged = []
    for path, digest in images:
        name = f"{FILES}/spool/{path}"
        try:
            source = within(home / "spool", path)
            if not (source.is_file() and _link(name, digest, out, manifest, earlier)):
                _copy(source, out, name, manifest)
        except OSError:
            log.exception("file_not_backed_up")
            manifest.pop(name, None)
        if manifest.get(name, {}).get("sha256") != digest:
            damaged.append(f"spool/{path}")
    return damaged


def _link(
    name: str,
    digest: str,
    out: Path,
    manifest: dict[str, dict[str, Any]],
    earlier: tuple[Path, dict[str, Any]] | None,
) -> bool:
    """Take a file over from an earlier copy that has the same; False when it has not."""
    if earlier is None or earlier[1].get(name, {}).get("sha256") != digest:
        return False
    target = out / name
    make_private_dir(target.parent)
    try:
        os.link(earlier[0] / name, target)
    except OSError:
        return False
    manifest[name] = earlier[1][name]
    return True


def _copy_results(
    home: Path, out: Path, folders: Sequence[str], manifest: dict[str, dict[str, Any]]
) -> list[str]:
    """Copy result folders; those that are missing."""
    damaged = []
    for folder in folders:
        source = within(home, folder)
        if source.is_dir():
            _copy_tree(source, out, f"{FILES}/{folder}", manifest)
        else:
            damaged.append(folder)
    return damaged


def _copy_tree(source: Path, out: Path, name: str, manifest: dict[str, dict[str, Any]]) -> None:
    """Copy a file, or every file below a folder."""
    if source.is_file():
        _copy(source, out, name, manifest)
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            _copy(path, out, f"{name}/{path.relative_to(source).as_posix()}", manifest)


def _copy(source: Path, out: Path, name: str, manifest: dict[str, dict[str, Any]]) -> None:
    """Copy one file, durable, and note what was copied."""
    target = out / name
    make_private_dir(target.parent)
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        with source.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                yield piece

    write_atomically(target, pieces())
    manifest[name] = {"sha256": digest.hexdigest(), "size": target.stat().st_size}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The list of what a backup holds; raises BackupError when this is none, or of another format."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise BackupError("There is no complete backup in this folder.", reason="no_backup") from error
    except ValueError as error:
        raise BackupError("The list of this backup cannot be read.", reason="backup_damaged") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BackupError("This backup is of a form that this release does not know.", reason="no_backup")
    return content


def verify(folder: Path) -> list[str]:
    """Names of files of a backup that are missing or not what was copied."""
    wrong = []
    for name, facts in read_manifest(folder)["files"].items():
        path = within(folder, name)
        if not path.is_file() or sha256_of(path) != facts["sha256"]:
            wrong.append(name)
    return wrong


def restore(folder: Path, place: Place) -> Copied:
    """Put a backup into an empty installation: files first, so that no row names what is not there.

    Settings, secrets and networks are put below HOME/restored. Raises BackupError, having changed nothing,
    when the backup is damaged or the installation is not empty.
    """
    manifest = read_manifest(folder)
    wrong = verify(folder)
    if wrong:
        raise BackupError(
            f"{len(wrong)} files of this backup are missing or changed, the first is {wrong[0]}.",
            reason="backup_damaged",
        )
    make_private_dir(place.home)
    with one_at_a_time(place.home / LOCK) as mine:
        if not mine:
            raise BackupError("A purge or a backup is under way; try again.", reason="busy")
        _require_empty(place)
        files: dict[str, Any] = manifest["files"]
        try:
            for name in files:
                kind, _, rest = name.partition("/")
                if kind == FILES:
                    _put(folder / name, within(place.home, rest))
                elif kind in {SETTINGS, MODELS}:
                    _put(folder / name, within(place.home, f"{RESTORED}/{name}"))
            counts = dump.load(place.database_url, folder / ROWS, at_revision=manifest["revision"])
        except BaseException:
            for name in OURS:
                shutil.rmtree(place.home / name, ignore_errors=True)
            for key in KEYS:
                (place.home / key).unlink(missing_ok=True)
            raise
    return Copied(
        files=len(files),
        size=sum(item["size"] for item in files.values()),
        rows=sum(counts.values()),
        damaged=tuple(manifest["damaged"]),
    )


def _require_empty(place: Place) -> None:
    if not dump.is_empty(place.database_url):
        raise BackupError(
            "The database has rows already: restore goes into an empty one.", reason="not_empty"
        )
    keys = any((place.home / key).is_file() for key in KEYS)
    if keys or any(_holds_files(place.home / name) for name in OURS):
        raise BackupError(
            "HOME holds images or results already: restore goes into an empty one.", reason="not_empty"
        )


def _holds_files(folder: Path) -> bool:
    """Whether a folder holds more than empty folders (a door that was started leaves those)."""
    return any(path.is_file() for path in folder.rglob("*"))


def _put(source: Path, target: Path) -> None:
    """Copy one file to where it belongs, private and durable."""
    make_private_dir(target.parent)
    shutil.copyfile(source, target)
    target.chmod(PRIVATE_FILE)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_dir(target.parent)
