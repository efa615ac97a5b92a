"""Number formats follow what the hardware reports."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from featlab.encoder import device as device_room
from featlab.encoder.attention import candidates
from featlab.encoder.device import inference_dtype, pick_device
from featlab.errors import ConfigError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_cpu(monkeypatch: pytest.MonkeyPatch, native: bool, expected: torch.dtype) -> None:
    monkeypatch.setattr(device_room, "cpu_has_bfloat16", lambda: native)
    assert inference_dtype("auto", CPU) == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16)],
)
def test_cuda(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert inference_dtype("auto", CUDA) == expected


def test_what_is_asked_for_is_given() -> None:
    assert inference_dtype("float16", CPU) == torch.float16


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2", False),
        ("fpu amx_bf16", True),
        ("avx512f avx512_bf16", True),
        ("avx512f", False),
    ],
)
def test_flags_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, expected: bool
) -> None:
    source = tmp_path / "cpuinfo"
    source.write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(device_room.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(device_room, "_reported_by_torch", set)
    reported = device_room._reported_by_system(source)
    monkeypatch.setattr(device_room, "_reported_by_system", lambda: reported)
    device_room.cpu_has_bfloat16.cache_clear()
    assert device_room.cpu_has_bfloat16() is expected
    device_room.cpu_has_bfloat16.cache_clear()


class Attending(torch.nn.Module):
    _supports_attention_backend = True


@pytest.mark.parametrize(
    ("device", "capability", "dtype", "expected"),
    [
        (CPU, None, torch.float32, ["sequences", "padded"]),
        (CPU, None, torch.bfloat16, ["sequences", "padded"]),
        (CUDA, (9, 0), torch.bfloat16, ["varlen", "padded"]),
        (CUDA, (8, 0), torch.float16, ["varlen", "padded"]),
        (CUDA, (9, 0), torch.float32, ["padded"]),
        (CUDA, (7, 5), torch.float16, ["padded"]),
    ],
)
def test_ways_of_attention(
    monkeypatch: pytest.MonkeyPatch,
    device: torch.device,
    capability: tuple[int, int] | None,
    dtype: torch.dtype,
    expected: list[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert candidates(Attending(), device, dtype) == expected
    assert candidates(torch.nn.Module(), device, dtype) == ["padded"]


def test_unknown_device() -> None:
    with pytest.raises(ConfigError, match="device 'gpu9' is unknown"):
        pick_device("gpu9")


def test_threads_come_from_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATLAB_THREADS", "1")
    torch.set_num_threads(2)
    pick_device("cpu")
    assert torch.get_num_threads() == 1
