"""What the kernel says of processes that a test started."""

from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """Process ids of the living children of a process, whichever of its threads started them."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            found += [int(word) for word in (task / "children").read_text("ascii").split()]
    return [child for child in found if not is_gone(child)]


def is_gone(pid: int) -> bool:
    """Whether no such process runs any more; one that only waits to be counted is gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in {"Z", "X"}


def command_line(pid: int) -> str:
    """How a process was started; empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " ")
    return ""


def environment(pid: int) -> set[str]:
    """Names of the variables that a process was started with."""
    raw = Path(f"/proc/{pid}/environ").read_text("utf-8", "replace")
    return {entry.partition("=")[0] for entry in raw.split("\0") if entry}


def open_files(pid: int) -> set[str]:
    """What a process has open, by name."""
    names = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            names.add(str(link.readlink()))
    return names
