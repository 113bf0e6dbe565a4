"""The web door: dashboard, REST interface and monitoring in one process."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from service import __version__, tracing
from service.db import ledger
from service.db.overview import DatabaseTrouble
from service.db.session import Sessions, make_sessions, require_current
from service.pipeline.presence import record_door
from service.settings import Settings
from service.web import (
    account,
    accounts,
    activating,
    api,
    auditing,
    choosing,
    dashboard,
    funnel,
    monitor,
    oidc,
    opening,
    ordering,
    peering,
    population,
    preferences,
    problems,
    reviewing,
    schemas,
    slices,
    stow,
)
from service.web.auth import MayStatus
from service.web.context import Neighbours, Web, WebState, utc_now
from service.web.describing import describe
from service.web.etags import Tags
from service.web.guard import Guard
from service.web.heads import Heads
from service.web.https import Https
from service.web.watching import watching

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
#: Answers that are under way get this long when the process is told to end.
GRACE_SECONDS = 10
#: How often this door says that it lives.
BEAT_SECONDS = 15.0

public = APIRouter()


@public.get("/healthz", tags=["monitoring"])
def healthz() -> schemas.Health:
    """This process is alive. Public, no patient data."""
    return schemas.Health()


@public.get("/readyz", tags=["monitoring"], responses={503: {"model": schemas.Readiness}})
def readyz(web: WebState, response: Response) -> schemas.Readiness:
    """Whether work can be taken; 503 with the reasons if not. Public, no patient data."""
    ready = monitor.readiness(web)
    if not ready.ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return ready


@public.get(
    "/metrics", tags=["monitoring"], response_class=Response, responses={200: {"content": {"text/plain": {}}}}
)
def metrics(request: Request) -> Response:
    """Metrics for Prometheus. Public, no patient data."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)


@public.get("/api/openapi.json", include_in_schema=False)
def openapi(request: Request, caller: MayStatus) -> JSONResponse:
    """The description of the REST interface."""
    del caller
    return JSONResponse(describe(request.app))


def create_app(
    settings: Settings,
    sessions: Sessions,
    *,
    clock: Callable[[], datetime] = utc_now,
    neighbours: Neighbours | None = None,
) -> FastAPI:
    """The application; everything it reaches outside the database can be replaced."""
    app = FastAPI(
        title="myoscreen", version=__version__, openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    web = Web(settings=settings, sessions=sessions, clock=clock, neighbours=neighbours or Neighbours())
    registry = CollectorRegistry()
    registry.register(monitor.LedgerCollector(web))
    app.state.web = web
    app.state.registry = registry
    app.state.error_page = dashboard.error_page
    problems.install(app)
    rooms = (api, auditing, ordering, peering, stow, slices, account, accounts, oidc, preferences, dashboard)
    for router in (public, *(room.router for room in rooms)):
        app.include_router(router)
    for room in (activating, choosing, funnel, reviewing, opening, population):
        app.include_router(room.api_router)
        app.include_router(room.page_router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Tags)
    app.add_middleware(Heads)
    app.add_middleware(Guard, https=settings.reached_by_https, metrics=monitor.RequestMetrics(registry))
    return app


class Beat(threading.Thread):
    """Says in the ledger that this door lives, and looks after its certificate, until it is told to stop."""

    def __init__(self, web: Web, https: Https | None = None) -> None:
        super().__init__(name="web-beat", daemon=True)
        self._web = web
        self._https = https
        self._since = web.clock()
        self._told = False
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Write at once, then every ``BEAT_SECONDS``; take the row out at the end."""
        while True:
            self._write(ending=False)
            if self._https is not None:
                self._https.refresh()
            if self._stop_asked.wait(BEAT_SECONDS):
                self._write(ending=True)
                return

    def _write(self, *, ending: bool) -> None:
        """Write this door's row; a door that cannot still serves pages."""
        who: Any = {"name": "web", "host": socket.gethostname(), "pid": os.getpid()}
        try:
            with self._web.sessions.begin() as session:
                if ending:
                    ledger.leave_door(session, **who)
                    record_door(session, "door_stopped", "web", now=self._web.clock())
                else:
                    if not self._told:
                        record_door(session, "door_started", "web", now=self._web.clock())
                    ledger.see_door(
                        session,
                        **who,
                        version=__version__,
                        started_at=self._since,
                        now=self._web.clock(),
                        detail=None if self._https is None else {"https": self._https.state()},
                    )
            self._told = True
        except DatabaseTrouble:
            log.exception("door_beat_failed", extra={"door": "web"})

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        self.join(timeout=BEAT_SECONDS)


def https_of(settings: Settings) -> Https | None:
    """HTTPS by this process, None where it is not configured."""
    if settings.http_tls_certificate is None or settings.http_tls_key is None:
        return None
    return Https(settings.http_tls_certificate, settings.http_tls_key, settings.http_tls_key_password_file)


def server_config(app: FastAPI, settings: Settings, https: Https | None = None) -> uvicorn.Config:
    """How the server listens.

    What proxies say is judged by us (``doorstep.origin``), and there is no access log: URLs stay out of logs.
    """
    return uvicorn.Config(
        app,
        host=settings.http_bind,
        port=settings.http_port,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_context_factory=(lambda *_: https.context) if https is not None else None,
    )


def serve(settings: Settings) -> None:
    """Answer on the configured port until SIGTERM or SIGINT; raises SchemaMismatch before that.

    Raises ConfigurationError when HTTPS is configured and its files cannot be used.
    """
    require_current(settings.resolved_database_url)
    https = https_of(settings)
    tracing.start(settings.tracing_target, door="web")
    app = create_app(settings, make_sessions(settings.resolved_database_url))
    config = server_config(app, settings, https)
    # uvicorn raises the signal again when it is done; then there is nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    beat = Beat(app.state.web, https)
    beat.start()
    log.info("web_listening", extra={"port": settings.http_port})
    try:
        with watching(app.state.web):
            uvicorn.Server(config).run()
    finally:
        beat.stop()
        tracing.stop()
    log.info("web_stopped")
