"""The kind of device that a network ran on, because bit equality is promised on the same kind only."""

import platform
import re
from pathlib import Path

from service.inference.providers import CPU, OPENVINO

CPU_INFO = Path("/proc/cpuinfo")
#: One file a graphics card, by NVIDIA's driver.
GPU_FILES = Path("/proc/driver/nvidia/gpus")


def device_kind(provider: str, *, cpu_info: Path = CPU_INFO, gpus: Path = GPU_FILES) -> str:
    """The processor or the graphics cards that a provider runs on, as the system names them."""
    if provider in {CPU, OPENVINO}:
        return _first(cpu_info, r"^model name\s*:\s*(.+)$") or platform.machine()
    named = {_first(path, r"^Model:\s*(.+)$") for path in sorted(gpus.glob("*/information"))}
    return ", ".join(sorted(name for name in named if name)) or "unknown"


def _first(path: Path, pattern: str) -> str:
    """What the first line of that form says; empty where there is none."""
    try:
        found = re.search(pattern, path.read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1).strip() if found else ""
