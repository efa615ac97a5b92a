import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import ARENA, WSDM, read_battles, swap_battles
from featlab.battles.folds import make_folds
from featlab.errors import BundleError
from featlab.features import BattleColumns
from featlab.generated import generate_battles
from models.stacking.blend import fit_blend
from models.stacking.bundle import load_bundle, save_bundle
from models.stacking.predictor import Ensemble
from models.stacking.table import StackingData
from tests.models.conftest import QUICK


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    return read_battles(generate_battles(240, seed=1).train).collect()


@pytest.fixture(scope="module")
def ensemble(battles: pl.DataFrame) -> Ensemble:
    text = BattleColumns(families=["verbosity", "lexicon"])
    frame = text.compute(battles.lazy()).collect().drop("id")
    folds = make_folds(battles, 3)["fold"].to_numpy().astype(np.int64)
    data = StackingData(frame, text.parity, battles["label"].to_numpy().astype(np.int64), folds)
    blend, _ = fit_blend(data, QUICK, seed=0)
    return Ensemble(text, {}, blend, temperature=1.3)


@pytest.fixture
def folder(ensemble: Ensemble, tmp_path: Path) -> Path:
    save_bundle(ensemble, ARENA, tmp_path)
    return tmp_path


def test_a_bundle_predicts_what_the_ensemble_did(
    ensemble: Ensemble, battles: pl.DataFrame, folder: Path
) -> None:
    loaded, schema = load_bundle(folder)
    ids, stated = loaded.predict(battles.lazy())
    assert schema == ARENA
    assert ids.to_list() == battles["id"].to_list()
    assert np.array_equal(stated, ensemble.predict(battles.lazy())[1])
    assert np.allclose(stated.sum(axis=1), 1, atol=1e-12)


def test_exchanged_battles_get_exchanged_probabilities(
    ensemble: Ensemble, battles: pl.DataFrame
) -> None:
    _, given = ensemble.predict(battles.lazy())
    _, exchanged = ensemble.predict(swap_battles(battles).lazy())
    assert np.abs(exchanged - given[:, [1, 0, 2]]).max() <= 1e-12


def test_batches_change_nothing(
    ensemble: Ensemble, battles: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = ensemble.predict(battles.lazy())
    monkeypatch.setattr("models.stacking.predictor.BATCH", 7)
    seen: list[int] = []
    _, parts = ensemble.predict(battles.lazy(), seen.append)
    assert np.array_equal(parts, whole)
    assert seen[-1] == len(battles)
    assert len(seen) == -(-len(battles) // 7)


def test_names_are_never_read(ensemble: Ensemble, battles: pl.DataFrame) -> None:
    _, given = ensemble.predict(battles.lazy())
    _, without = ensemble.predict(battles.drop("model_a", "model_b", "label").lazy())
    assert np.array_equal(given, without)


def test_the_schema_of_the_training_file_comes_along(ensemble: Ensemble, tmp_path: Path) -> None:
    save_bundle(ensemble, WSDM, tmp_path)
    assert load_bundle(tmp_path)[1] == WSDM


def test_nothing_in_it_is_pickled(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors", ".txt"}
    assert not any(path.read_bytes()[:1] == b"\x80" for path in files)


def test_a_changed_file_is_refused(folder: Path) -> None:
    target = folder / "stacker" / "1.txt"
    target.write_text(target.read_text().replace("leaf_value", "leaf_valu3", 1))
    with pytest.raises(BundleError, match=r"stacker/1\.txt differs"):
        load_bundle(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "stacker" / "0.txt").unlink()
    with pytest.raises(BundleError, match=r"stacker/0\.txt is missing"):
        load_bundle(folder)


def test_half_a_bundle_is_none(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(BundleError, match="holds no bundle"):
        load_bundle(folder)


def test_a_bundle_of_another_format_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(BundleError, match="format 99"):
        load_bundle(folder)


def test_an_environment_that_predicts_otherwise_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.stacking.predictor.apply_temperature", lambda raw, temperature: raw)
    with pytest.raises(BundleError, match="predicts the probe differently"):
        load_bundle(folder)


def test_a_signal_class_outside_the_project_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["signals"] = {"evil": {"class": "os:system", "folds": 1}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="outside this project"):
        load_bundle(folder)
