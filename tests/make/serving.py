"""The web door of a test's world, listening on a port as the real one does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.web.app import server_config
from tests.make.running import free_port, wait_for
from tests.make.web import World


@contextmanager
def served(world: World) -> Iterator[str]:
    """Its address, while it listens."""
    port = free_port()
    settings = world.settings.model_copy(update={"http_port": port})
    server = uvicorn.Server(server_config(world.client().app, settings))
    thread = threading.Thread(target=server.run, name="web")
    thread.start()
    try:
        wait_for("the web door", lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
