"""Looks through what must name nobody: logs of this process and of those it starts, metrics, and URLs.

``tests/conftest.py`` has every test looked at: what it wrote or asked for is searched for every name, id,
birth date and accession number of the people in ``tests/make``.
"""

import http.client
import logging
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import httpx

from service.logs import TextFormatter
from tests.make.identities import named


@dataclass
class Grown:
    """A file that a process writes to, and how far it was read."""

    path: Path
    process: "subprocess.Popen[Any]"
    offset: int = 0

    def news(self) -> str:
        """What was written since."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read()
        except OSError:
            return ""
        self.offset += len(content)
        return content.decode("utf-8", "replace")


@dataclass
class Watch(logging.Handler):
    """Keeps what was written and asked for, until it is looked through."""

    kept: list[tuple[str, str]] = field(default_factory=list)
    files: list[Grown] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as a door would write it."""
        self.kept.append(("log", self.format(record)))

    def note(self, where: str, text: str) -> None:
        """Keep a text."""
        self.kept.append((where, text))

    def look(self) -> list[str]:
        """Every place where somebody is named, and forget what was kept."""
        for file in list(self.files):
            ended = file.process.returncode is not None
            self.kept.append((f"log of a process, {file.path.name}", file.news()))
            if ended:
                self.files.remove(file)
        texts, self.kept = self.kept, []
        return [
            f"{where} names {', '.join(sorted(found))}: {line[:300]}"
            for where, text in texts
            for line in text.splitlines()
            if (found := named(line))
        ]


def watch_everything(watch: Watch) -> None:
    """Have HTTP clients, browsers and processes of this test run noted."""
    _watch_httpx(watch)
    _watch_http(watch)
    _watch_processes(watch)


def _watch_httpx(watch: Watch) -> None:
    plain = httpx.Client.send

    def send(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        answer = plain(self, request, **more)
        watch.note("URL", unquote_plus(str(request.url)))
        if request.url.path.endswith("/metrics") and not more.get("stream"):
            watch.note("metrics", answer.text)
        return answer

    httpx.Client.send = send  # type: ignore[method-assign]


def _watch_http(watch: Watch) -> None:
    plain = http.client.HTTPConnection.putrequest

    def putrequest(self: http.client.HTTPConnection, method: str, url: str, **more: Any) -> None:
        watch.note("URL", unquote_plus(url))
        plain(self, method, url, **more)

    http.client.HTTPConnection.putrequest = putrequest  # type: ignore[method-assign]


def watch_browsers(watch: Watch) -> None:
    """Have every URL noted that a browser asks for, where the tests use one."""
    module = sys.modules.get("playwright.sync_api")
    if module is None:
        return
    plain = module.Browser.new_context

    def new_context(self: Any, *more: Any, **named_: Any) -> Any:
        context = plain(self, *more, **named_)
        context.on("request", lambda request: watch.note("URL", unquote_plus(request.url)))
        return context

    def new_page(self: Any, *more: Any, **named_: Any) -> Any:
        page = plain_page(self, *more, **named_)
        page.on("request", lambda request: watch.note("URL", unquote_plus(request.url)))
        return page

    plain_page = module.Browser.new_page
    module.Browser.new_context, module.Browser.new_page = new_context, new_page


def _watch_processes(watch: Watch) -> None:
    """Note what our own programs write to a file, or to a pipe of errors that the test reads."""
    begin, communicate = subprocess.Popen.__init__, subprocess.Popen.communicate

    def init(self: Any, args: Any, *more: Any, **named_: Any) -> None:
        begin(self, args, *more, **named_)
        if is_ours(args):
            targets = {getattr(named_.get(stream), "name", None) for stream in ("stdout", "stderr")}
            paths = [Path(name) for name in targets if isinstance(name, str) and Path(name).is_file()]
            watch.files += [Grown(path, self) for path in paths]

    def talk(self: Any, *more: Any, **named_: Any) -> Any:
        out, errors = communicate(self, *more, **named_)
        if errors and is_ours(self.args):
            text = errors if isinstance(errors, str) else errors.decode("utf-8", "replace")
            watch.note("errors of a process", text)
        return out, errors

    subprocess.Popen.__init__ = init  # type: ignore[method-assign]
    subprocess.Popen.communicate = talk  # type: ignore[method-assign]


def is_ours(args: Any) -> bool:
    """Whether a command is Python of this environment or our own; other servers log as they like."""
    words = [str(word) for word in args] if isinstance(args, list | tuple) else [str(args)]
    return any(word == sys.executable or Path(word).name == "myoscreen" for word in words)
