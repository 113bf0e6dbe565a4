"""What the web door asks of its neighbours: peers, broker, spool and the network on disk."""

import socket
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from service.errors import ConfigurationError, ModelMismatch, PeerUnreachable, SpoolFull
from service.inference.card import read_card, verify
from service.pipeline import smoke
from service.pipeline.smoke import Trial
from service.settings import Peer, Settings, bare_environment

#: A neighbour on the hospital's network answers in milliseconds; a person waits for this.
TIMEOUT_SECONDS = 3.0
BROKER_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The network that is on disk, checked against its card."""

    name: str
    version: str
    sha256: str
    licence: str
    definition: str
    definition_version: str
    precision: str


def echo(peer: Peer, settings: Settings) -> None:
    """C-ECHO a peer that has a port; raises DeliveryError when it does not answer."""
    from service.dicom import scu, tls  # noqa: PLC0415 - loading the DICOM libraries takes a second

    scu.echo(
        scu.Address(
            host=peer.host,
            port=peer.port or 0,
            ae_title=peer.ae_title,
            calling_ae=settings.ae_title,
            tls=tls.outgoing(settings.tls_files, tls=peer.tls, subjects=peer.tls_subject),
        )
    )


def check_broker(url: str) -> None:
    """Raise unless the broker takes connections; the in-memory one lives in the worker itself."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return
    try:
        if parts.scheme.endswith("socket") or parts.scheme.endswith("unix"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.settimeout(TIMEOUT_SECONDS)
                stream.connect(parts.path)
            return
        port = parts.port or BROKER_PORTS.get(parts.scheme.split("+")[0], 6379)
        with socket.create_connection((parts.hostname or "127.0.0.1", port), TIMEOUT_SECONDS):
            return
    except (OSError, ValueError) as error:
        raise PeerUnreachable("The broker does not answer.", reason="broker_unreachable") from error


def check_spool(settings: Settings) -> None:
    """Raise unless a file can be written where received images are kept."""
    try:
        with tempfile.TemporaryFile(dir=settings.spool_dir) as stream:
            stream.write(b"\0")
    except FileNotFoundError as error:
        raise ConfigurationError("There is no spool folder yet.", reason="spool_missing") from error
    except OSError as error:
        raise SpoolFull("The spool cannot be written.", reason="spool_unwritable") from error


def models_dir(settings: Settings) -> Path:
    """The folder with the networks: the configured one, else the bundled one, else the checkout's."""
    if settings.models_dir is not None:
        return settings.models_dir
    package = Path(__file__).parents[1]
    bundled = package / "_models"
    return bundled if bundled.is_dir() else package.parent / "models"


def try_network(settings: Settings, folder: Path) -> Trial:
    """Show the phantom to a network, in a process of its own; raises ModelMismatch unless it answers."""
    site = settings.activation_site
    return smoke.try_network(
        folder,
        providers=site["providers"],
        precision=site["precision"],
        threads=site["threads"],
        memory_mb=site["memory_mb"],
        env=bare_environment(),
    )


def read_model(settings: Settings) -> ModelFacts:
    """The network on disk; raises ModelMismatch unless it is the one of its card.

    The hash is computed again only when a file changed, because monitoring asks every few seconds.
    """
    folder = models_dir(settings) / settings.model
    try:
        stamps = tuple(
            (path.name, path.stat().st_mtime_ns, path.stat().st_size)
            for path in sorted(folder.iterdir())
            if path.is_file()
        )
    except OSError as error:
        raise ModelMismatch("There is no folder with that network.", reason="model_missing") from error
    return _checked(folder, stamps)


@lru_cache(maxsize=4)
def _checked(folder: Path, _stamps: tuple[tuple[str, int, int], ...]) -> ModelFacts:
    """The network in this folder, as long as its files do not change."""
    card = read_card(folder)
    verify(card)
    return ModelFacts(
        name=card.name,
        version=card.version,
        sha256=card.sha256,
        licence=card.licence,
        definition=card.definition_id,
        definition_version=card.definition_version,
        precision=", ".join(dict.fromkeys(pair.precision for pair in card.admitted)),
    )
