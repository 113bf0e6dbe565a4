"""What every route needs: settings, sessions, the clock, and the neighbours that a test may replace."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from service.db import people
from service.db.session import Sessions
from service.pipeline.smoke import Trial
from service.settings import Peer, Settings
from service.web import neighbours
from service.web.doorstep import LoginLimit, origin
from service.web.recalled import Recalled

if TYPE_CHECKING:
    from service.pipeline.filing import Files
    from service.wire.oidc import Provider

#: Requests with images that are taken at a time, so that pages and monitoring keep threads of their own
#: (the library has 40). Chosen by us.
MOST_SENDERS = 8


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The calls that leave this process, each replaceable in a test."""

    #: C-ECHO of a peer; raises DeliveryError when it fails.
    echo: Callable[[Peer, Settings], None] = neighbours.echo
    #: Raises ServiceError unless the broker at this URL takes connections.
    check_broker: Callable[[str], None] = neighbours.check_broker
    #: Raises ServiceError unless images can be written below this folder.
    check_spool: Callable[[Settings], None] = neighbours.check_spool
    #: The network on disk; raises ModelMismatch unless it is the one of its card.
    read_model: Callable[[Settings], neighbours.ModelFacts] = neighbours.read_model
    #: Shows the phantom to the network in this folder; raises ModelMismatch unless it answers.
    try_network: Callable[[Settings, Path], Trial] = neighbours.try_network


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Web:
    """The state of one web door."""

    settings: Settings
    sessions: Sessions
    clock: Callable[[], datetime]
    neighbours: Neighbours
    login_limit: LoginLimit = field(default_factory=LoginLimit)
    #: For answers of the provider, apart: one in trouble does not keep an address from the other way in.
    answer_limit: LoginLimit = field(default_factory=LoginLimit)
    looks: Recalled = field(default_factory=Recalled)
    places: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MOST_SENDERS)
    )

    @cached_property
    def files(self) -> "Files":
        """Where images that are sent here go."""
        from service.dicom.spool import Spool  # noqa: PLC0415 - loading the DICOM libraries takes a second
        from service.pipeline.filing import files  # noqa: PLC0415

        settings = self.settings
        spool = Spool(
            settings.spool_dir, min_free_mb=settings.spool_min_free_mb, resume_free_mb=settings.resume_free_mb
        )
        return files(
            self.sessions,
            spool,
            largest_bytes=settings.max_instance_mb * 1_000_000,
            editors=(peer.name for peer in settings.peer if peer.edits),
        )

    @cached_property
    def provider(self) -> "Provider | None":
        """Where people log in besides here, None where that is nowhere."""
        if self.settings.oidc is None:
            return None
        from service.web.oidc_terms import provider_of  # noqa: PLC0415 - it loads a library of ciphers

        return provider_of(self.settings.oidc, clock=self.clock)

    @property
    def idle(self) -> timedelta:
        """A login ends after this time without a request."""
        return timedelta(minutes=self.settings.session_idle_minutes)

    def audit(
        self,
        request: Request,
        actor: str,
        action: str,
        *,
        outcome: str = "ok",
        object_type: str | None = None,
        object_id: str | int | None = None,
        detail: dict[str, object] | None = None,
    ) -> None:
        """Append one line to the audit record, before the answer leaves.

        What somebody does by results that were opened with a reason names that opening.
        """
        caller = getattr(request.state, "caller", None)
        if caller is not None and caller.opening_id is not None:
            detail = {**(detail or {}), "opening": caller.opening_id}
        with self.sessions.begin() as session:
            people.record(
                session,
                at=self.clock(),
                actor=actor,
                action=action,
                outcome=outcome,
                object_type=object_type,
                object_id=object_id,
                address=client_address(request),
                detail=detail,
            )


def client_address(request: Request) -> str | None:
    """The address that a request comes from; only headers of trusted proxies are believed."""
    peer = request.client.host if request.client else None
    trusted = get_web(request).settings.trusted_proxies
    return origin(peer, request.headers.getlist("x-forwarded-for"), trusted)


def get_web(request: Request) -> Web:
    """The door that this request came through."""
    web: Web = request.app.state.web
    return web


WebState = Annotated[Web, Depends(get_web)]
