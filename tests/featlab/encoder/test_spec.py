"""A spec's id changes with everything that changes a vector, and with nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from featlab.encoder import MINILM, MODERNBERT_BASE, EncoderSpec, TruncationPolicy
from featlab.errors import ConfigError


@pytest.mark.parametrize(
    "change",
    [
        {"model": "answerdotai/ModernBERT-large"},
        {"revision": "abc"},
        {"max_tokens": 1024},
        {"pooling": "cls"},
        {"truncation": TruncationPolicy(prompt_share=0.5)},
        {"truncation": TruncationPolicy(prompt_share=1 / 3, head_share=1.0)},
        {"dtype": "float32"},
    ],
)
def test_id_changes_with_every_field_that_changes_a_vector(change: dict[str, Any]) -> None:
    assert replace(MODERNBERT_BASE, **change).id != MODERNBERT_BASE.id


def test_id_ignores_how_attention_is_computed() -> None:
    assert replace(MINILM, attention="blocks").id == MINILM.id


def test_id_is_the_same_in_another_process() -> None:
    code = "from featlab.encoder import MINILM; print(MINILM.id)"
    environment = {**os.environ, "PYTHONHASHSEED": "99"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == MINILM.id


def test_id_of_a_folder_follows_its_content(modernbert_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(modernbert_folder, tmp_path / "copy")
    spec = EncoderSpec(str(copy))
    before = spec.id
    assert before == EncoderSpec(str(modernbert_folder)).id
    weights = copy / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert spec.id != before


def test_json_round_trip() -> None:
    assert EncoderSpec.from_dict(json.loads(json.dumps(MODERNBERT_BASE.to_dict()))) == (
        MODERNBERT_BASE
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": ""}, "model is empty"),
        ({"max_tokens": 8193}, "max_tokens is 8193"),
        ({"pooling": "max"}, "pooling is 'max', but must be one of auto, mean, cls, last"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"attention": "flash"}, "attention is 'flash'"),
    ],
)
def test_values_out_of_range(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(MINILM, **fields)


def test_unknown_field_and_share_out_of_range() -> None:
    with pytest.raises(ConfigError, match="speed"):
        EncoderSpec.from_dict({**MINILM.to_dict(), "speed": 9})
    with pytest.raises(ConfigError, match=r"head_share is 1\.5"):
        TruncationPolicy(head_share=1.5)


def test_importing_the_spec_imports_no_torch() -> None:
    code = (
        "import sys, featlab.encoder; featlab.encoder.MINILM.id; "
        "print(sorted({'torch', 'transformers', 'polars', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_encoder_imports_no_polars() -> None:
    code = (
        "import sys, featlab.encoder.encoder; "
        "print(sorted({'polars', 'pandas', 'sklearn', 'sentence_transformers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
