"""Programs of other people, called as a user calls them; a missing one skips the test by name."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest


def program(name: str) -> str:
    """Path of a program of the system or in this Python's own folder; skips where it is absent."""
    # The system first: pynetdicom installs a storescu of its own beside this Python.
    folders = ["/usr/bin", os.environ.get("PATH", ""), str(Path(sys.executable).parent)]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(
    name: str, *arguments: object, check: bool = True, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said."""
    # Debian's dcmtk waits for delayed acknowledgements without this, 40 ms for each image.
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(
        [program(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        check=check,
        timeout=timeout,
        env=environment,
    )


def storescu(port: int, paths: Iterable[Path], *, called: str = "MYOSCREEN", calling: str = "SENDER") -> None:
    """Send uncompressed files with dcmtk's storescu."""
    run("storescu", "-aec", called, "-aet", calling, "127.0.0.1", port, *paths)
