from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the preference model needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from tests.models.preference.small_encoder import small_spec  # noqa: E402


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Small models gain nothing from threads, and tests run side by side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATLAB_THREADS", "1")
        torch.set_num_threads(1)
        yield


@pytest.fixture(scope="package")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder")
    small_spec(path)
    return path
