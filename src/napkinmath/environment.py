"""The conditions under which this machine is timed: calibration and measurement share them, or their numbers do not compare."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
from pathlib import Path
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h


@functools.cache
def steady_allocator() -> str:
    """Make freed memory stay in the process, and say how.

    glibc returns large blocks to the system and asks for them again, until a large enough ``free`` has taught it not to. Every
    such block is then filled with zeros page by page, so that one model runs up to 2.7 times slower in a fresh process than
    in one that has run a larger model before. Elsewhere the system's allocator is left alone.
    """
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1):
            return "glibc malloc, freed memory kept"
    return f"{platform.system()} default"


def keep_kernels(count: int) -> None:
    """Let oneDNN keep so many compiled kernels (1024 otherwise), so that a calibration does not compile its own at every visit.

    Holds where oneDNN has not run yet in this process; a wish for another number in the environment stands.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(count))


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    try:
        return re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE).group(1)  # type: ignore[union-attr]
    except (OSError, AttributeError):
        return platform.processor() or platform.machine()


def last_level_cache_bytes() -> int:
    """Size of the largest cache that core 0 uses; 32 MiB where the system does not say."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        number, unit = re.fullmatch(r"(\d+)([KMG]?)", path.read_text().strip()).groups()  # type: ignore[union-attr]
        sizes.append(int(number) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[unit])
    return max(sizes, default=32 * 2**20)


def machine(device: str) -> dict[str, Any]:
    """What a profile must match to be valid here: processor, cores, accelerator."""
    facts: dict[str, Any] = {"system": platform.system(), "cpu": cpu_model(), "cores": os.cpu_count()}
    if device == "cuda":
        import torch

        facts["accelerator"] = torch.cuda.get_device_name()
    return facts


def free_memory_bytes() -> float:
    """Main memory that weights may take here: what is free, less a fifth for everything else."""
    import psutil

    return float(psutil.virtual_memory().available) * 0.8


def synchronize(device: str) -> None:
    """Wait until the device has done what was asked of it; nothing to do on a CPU."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def default_device() -> str:
    """``cuda`` or ``mps`` where there is one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def native_dtypes(device: str) -> tuple[str, ...]:
    """Types that the device multiplies in hardware and PyTorch multiplies on it, so that calibrating them says something."""
    import torch

    if device == "cuda":
        floats = ("fp32", "bf16", "fp16") if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp32", "fp16")
        return (*floats, "int8") if torch.cuda.get_device_capability() >= (7, 5) and _multiplies_int8(device) else floats
    if device == "mps":
        return ("fp32", "fp16")
    capabilities = torch.cpu.get_capabilities()
    instructions = {
        "bf16": ("avx512_bf16", "amx_bf16", "amx_tile", "bf16"),
        "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "i8mm", "dot"),
    }
    found = [dtype for dtype, names in instructions.items() if any(capabilities.get(name) for name in names)]
    return ("fp32", *(dtype for dtype in found if dtype != "int8" or _multiplies_int8(device)))


def packs_int8() -> bool:
    """Whether this build of PyTorch has kernels for int8 weights that are packed for the CPU."""
    import torch

    return torch.backends.quantized.engine != "none"


def _multiplies_int8(device: str) -> bool:
    """Whether PyTorch's integer product runs there: libraries differ in what they support, so one is tried."""
    import torch

    codes = torch.ones(64, 64, dtype=torch.int8, device=device)
    try:
        return int(torch._int_mm(codes, codes)[0, 0]) == 64
    except RuntimeError:
        return False
