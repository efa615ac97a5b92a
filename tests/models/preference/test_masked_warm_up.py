"""The warm-up hides what it should, learns, and leaves an ordinary encoder behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the warm-up needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.encoder import load_encoder  # noqa: E402
from featlab.errors import BattleError, ConfigError  # noqa: E402
from models.preference.masked_warm_up import (  # noqa: E402
    UNSCORED,
    MaskedWarmUpSettings,
    MaskingCollator,
    warm_up,
)
from tests.models.preference.small_encoder import small_spec, telling_battles  # noqa: E402

SETTINGS = MaskedWarmUpSettings(
    epochs=3, learning_rate=3e-3, tokens_per_step=512, precision="float32"
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATLAB_THREADS", "1")
        torch.set_num_threads(1)
        yield


def test_what_is_hidden() -> None:
    rows = [np.r_[2, np.full(n, 9), 3].astype(np.int32) for n in (400, 300)]
    collator = MaskingCollator(
        rows, padding=1, mask=4, special=[1, 2, 3], vocabulary=30, share=0.3, seed=0
    )
    first, second = collator([0, 1]), collator([0, 1])
    hidden = first["labels"] != UNSCORED
    assert not torch.equal(hidden, second["labels"] != UNSCORED)
    assert (first["labels"][hidden] == 9).all()
    assert hidden.sum() / 700 == pytest.approx(0.3, abs=0.06)
    assert (first["input_ids"][~hidden] == torch.tensor([9, 1, 2, 3])[:, None]).any(0).all()
    masked = first["input_ids"][hidden] == 4
    assert masked.float().mean() == pytest.approx(0.8, abs=0.09)
    special = torch.isin(first["input_ids"], torch.tensor([1, 2, 3]))
    assert not (hidden & special & (first["labels"] != 9)).any()


def test_it_learns_and_leaves_an_encoder(tmp_path: Path) -> None:
    spec = small_spec(tmp_path / "before")
    battles = telling_battles(60).drop("label")
    folder = tmp_path / "after"
    warmed = warm_up(battles, spec, SETTINGS, 0, folder, device="cpu", pace=lambda _: None)
    assert warmed.model == str(folder)
    assert warmed.id != spec.id
    before = load_encoder(spec, "cpu").encode_texts(["quick fox"])
    after = load_encoder(warmed, "cpu").encode_texts(["quick fox"])
    assert np.abs(after - before).max() > 1e-2
    paces: list[object] = []
    again = warm_up(battles, spec, SETTINGS, 0, folder, device="cpu", pace=paces.append)
    assert again == warmed
    assert not paces


def test_what_cannot_be_warmed_up(tmp_path: Path) -> None:
    spec = small_spec(tmp_path)
    with pytest.raises(BattleError, match="none to read"):
        warm_up(telling_battles(1).clear(), spec, SETTINGS, 0, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"masked_share is 1\.5"):
        MaskedWarmUpSettings(masked_share=1.5)
