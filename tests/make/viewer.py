"""Stock OHIF of a fixed version in front of an Orthanc, both on one origin."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

VERSION = "3.13.2"
#: Of the packed package; another content under the same version is not run.
SHA256 = "b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1"
#: The start of every reason to do without the viewer; on the list of allowed skips.
ABSENT = "the viewer cannot be had"
#: A download of 50 MB.
SECONDS = 240
TYPES = {
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
#: The configuration that the package ships, with this archive in place of its own.
ARCHIVE = """
window.config.routerBasename = '/';
window.config.defaultDataSourceName = 'archive';
window.config.dataSources = [{
  namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'archive',
  configuration: {
    friendlyName: 'archive', name: 'archive', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
    wadoUriRoot: '/dicom-web', qidoSupportsIncludeField: false, imageRendering: 'wadors',
    thumbnailRendering: 'wadors', enableStudyLazyLoad: true, supportsFuzzyMatching: false,
    supportsWildcard: true, bulkDataURI: { enabled: true }, omitQuotationForMultipartRequest: true } }];
"""


def built_viewer() -> Path:
    """The folder of the built viewer, unpacked once for this user; skips where it is not to be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "myoscreen-tests"
    folder = cache / f"ohif-{VERSION}"
    if folder.exists():
        return folder / "package" / "dist"
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"{ABSENT}: npm is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        command = [npm, "pack", f"@ohif/app@{VERSION}", "--silent", "--pack-destination", scratch]
        try:
            done = subprocess.run(
                command, cwd=scratch, capture_output=True, text=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"{ABSENT}: npm took more than {SECONDS} s")
        packed = next(Path(scratch).glob("*.tgz"), None)
        if packed is None:
            pytest.skip(f"{ABSENT}: npm ended with {done.returncode}")
        assert hashlib.sha256(packed.read_bytes()).hexdigest() == SHA256, (
            "another package than the pinned one"
        )
        with tarfile.open(packed) as archive:
            archive.extractall(Path(scratch) / "unpacked", filter="data")
        shutil.move(Path(scratch) / "unpacked", folder)
    return folder / "package" / "dist"


def _handler(dist: Path, archive_url: str) -> type[BaseHTTPRequestHandler]:
    """Files of the viewer, its first page for paths of its own, and the archive below /dicom-web."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith("/dicom-web/"):
                self._from_archive(None)
            elif self.path == "/app-config.js":
                content = (dist / "app-config.js").read_text("utf-8") + ARCHIVE
                self._answer(200, "text/javascript", content.encode())
            else:
                self._from_viewer()

        def do_POST(self) -> None:
            self._from_archive(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _from_viewer(self) -> None:
            asked = (dist / self.path.split("?")[0].lstrip("/")).resolve()
            file = asked if asked.is_file() and dist in asked.parents else dist / "index.html"
            self._answer(200, TYPES.get(file.suffix, "application/octet-stream"), file.read_bytes())

        def _from_archive(self, body: bytes | None) -> None:
            headers = {name: self.headers[name] for name in ("Accept", "Content-Type") if self.headers[name]}
            # Orthanc writes addresses of bulk data with the host that it was asked under.
            headers["Host"] = self.headers["Host"]
            request = urllib.request.Request(archive_url + self.path, data=body, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self._answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, "text/plain", error.read())

        def _answer(self, status: int, content_type: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            # Shared memory of its workers needs both.
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler


@contextmanager
def serve_viewer(dist: Path, archive_url: str) -> Iterator[str]:
    """The viewer's address on loopback while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(dist.resolve(), archive_url))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
