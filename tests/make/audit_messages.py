"""DICOM audit messages held against the grammar of PS3.15 A.5.1."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.make.servers import find_program

GRAMMAR = Path(__file__).with_name("audit_message.rng")


def faults(folder: Path, documents: Sequence[str]) -> str:
    """What xmllint says of documents that are none; empty where all are valid."""
    paths = []
    for number, text in enumerate(documents):
        paths.append(folder / f"message-{number}.xml")
        paths[-1].write_text(text, "utf-8")
    command = [find_program("xmllint"), "--noout", "--nonet", "--relaxng", str(GRAMMAR), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if not line.endswith(" validates")]
    assert said or done.returncode == 0, done
    return "\n".join(said)
