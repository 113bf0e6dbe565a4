"""The quick version of the search for files that break the service; `make fuzz` is the long one."""

import subprocess
import sys
from pathlib import Path


def test_no_mutated_file_is_lost_or_breaks_anything() -> None:
    # A process of its own: its memory is measured, and a decoder may die in a child of it.
    command = [sys.executable, "-m", "tests.fuzz.files", "--files", "300", "--seed", "20261123"]
    root = Path(__file__).resolve().parents[2]
    search = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert search.returncode == 0, search.stdout[-2000:] + search.stderr[-4000:]
    assert "300 files" in search.stdout
