"""The kind of device that a network ran on, because bit equality is promised on the same kind only."""

import platform
import re
from pathlib import Path

from service.inference.providers import CPU, OPENVINO

CPU_INFO = Path("/proc/cpuinfo")
#: Instruction sets by which ONNX Runtime's matrix library (MLAS) and OpenVINO choose their kernels; another
#: kernel adds in another order, so the last bits differ.
INSTRUCTIONS = (
    *("avx", "fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
)
#: One file a graphics card, by NVIDIA's driver.
GPU_FILES = Path("/proc/driver/nvidia/gpus")


def device_kind(provider: str, *, cpu_info: Path = CPU_INFO, gpus: Path = GPU_FILES) -> str:
    """The processor or the graphics cards that a provider runs on, as the system names them.

    Of a processor also which of its instructions choose the kernels: virtual machines hide its true name.
    """
    if provider in {CPU, OPENVINO}:
        name = _first(cpu_info, r"^model name\s*:\s*(.+)$") or platform.machine()
        able = set(_first(cpu_info, r"^(?:flags|Features)\s*:\s*(.+)$").split())
        chosen = [each for each in INSTRUCTIONS if each in able]
        return f"{name} ({' '.join(chosen)})" if chosen else name
    named = {_first(path, r"^Model:\s*(.+)$") for path in sorted(gpus.glob("*/information"))}
    return ", ".join(sorted(name for name in named if name)) or "unknown"


def _first(path: Path, pattern: str) -> str:
    """What the first line of that form says; empty where there is none."""
    try:
        found = re.search(pattern, path.read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1).strip() if found else ""
