"""Which device to compute on, and which number formats it computes natively.

bfloat16 on a processor without matrix instructions for it is a hundred times
slower than float32, and a graphics card older than Ampere has none either: what
the hardware can do is asked of it, never assumed.
"""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

import torch

from featlab.encoder.spec import Dtype
from featlab.errors import ConfigError
from featlab.threads import thread_count

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name) for name in ("float32", "bfloat16", "float16")
}


def pick_device(device: str = "auto") -> torch.device:
    """Return the device to compute on; ``"auto"`` takes CUDA where it is there, else the CPU.

    A CPU is given `featlab.threads.thread_count` threads.

    Raises
    ------
    ConfigError
        When the device is unknown, or CUDA is asked for and not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device '{device}' is unknown; use auto, cpu or cuda") from error
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device 'cuda' was asked for, but this torch sees no CUDA card; use auto or cpu"
        )
    if picked.type == "cpu":
        torch.set_num_threads(thread_count())
    return picked


def inference_dtype(dtype: Dtype, device: torch.device) -> torch.dtype:
    """Return the number format to run an encoder in.

    ``"auto"`` is bfloat16 where the device has instructions for it (CUDA from
    compute capability 8.0, x86 with AMX or AVX512-BF16), float16 on an older
    CUDA card, and float32 elsewhere.
    """
    if dtype != "auto":
        return DTYPES[dtype]
    if device.type == "cuda":
        return torch.bfloat16 if cuda_has_bfloat16(device) else torch.float16
    if device.type == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def cuda_has_bfloat16(device: torch.device) -> bool:
    """Return whether a CUDA card multiplies bfloat16 in hardware (Ampere and later)."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


@lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Return whether this processor has AMX or AVX512-BF16, by what it reports itself."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    flags = _reported_by_torch() or _reported_by_system()
    return bool(flags & {"amx_bf16", "avx512_bf16"})


def _reported_by_torch() -> set[str]:
    # Only newer releases of torch tell.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return {name for name, present in capabilities.items() if present is True}


def _reported_by_system(source: Path = Path("/proc/cpuinfo")) -> set[str]:
    text = source.read_text(encoding="utf-8", errors="replace") if source.is_file() else ""
    flags = (line for line in text.splitlines() if line.startswith("flags"))
    return set(next(flags, "").partition(":")[2].split())
