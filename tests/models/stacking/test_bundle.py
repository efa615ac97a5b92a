"""The predictor and its bundle: symmetric, independent of batches, and checked as it is read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from featlab.battles import ARENA, WSDM, BattleSchema, read_battles, swap_battles
from featlab.battles.folds import make_folds
from featlab.errors import BundleError, ConfigError
from featlab.generated import generate_battles
from featlab.signals import Context, Outcomes
from featlab.signals.text import TextSignal
from models.probabilities import exchanged
from models.stacking.blend import fit_blend
from models.stacking.bundle import load_bundle, save_bundle
from models.stacking.out_of_fold import out_of_fold
from models.stacking.predictor import Predictor
from models.stacking.table import Table, stacked_columns, stacked_frame
from tests.models.conftest import QUICK
from tests.models.remembering import Remembering


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    return read_battles(generate_battles(240, seed=1).train).collect()


@pytest.fixture(scope="module")
def predictor(battles: pl.DataFrame) -> Predictor:
    """With the text signal and one from outside the project."""
    folds = make_folds(battles, 3)["fold"].to_numpy().astype(np.int64)
    outcomes, context = Outcomes.of(battles), Context(families=("verbosity", "lexicon"))
    frames, columns, signals = [], (), {}
    for kind in (TextSignal, Remembering):
        made, signals[kind.name] = out_of_fold(kind, context, battles.lazy(), outcomes, folds)
        own = stacked_columns(signals[kind.name][0].columns())
        frames.append(stacked_frame(made, own))
        columns = (*columns, *own)
    table = Table(pl.concat(frames, how="horizontal"), columns, outcomes, folds)
    return Predictor(signals, fit_blend(table, QUICK, seed=0)[0], temperature=1.3)


TRUSTED = (Remembering.__module__,)


@pytest.fixture
def folder(predictor: Predictor, tmp_path: Path) -> Path:
    save_bundle(predictor, ARENA, tmp_path)
    return tmp_path


def change(folder: Path, **values: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **values}))


@pytest.mark.parametrize("schema", [ARENA, WSDM])
def test_a_bundle_predicts_what_the_predictor_did_and_knows_the_schema(
    predictor: Predictor, battles: pl.DataFrame, tmp_path: Path, schema: BattleSchema
) -> None:
    save_bundle(predictor, schema, tmp_path)
    loaded, read = load_bundle(tmp_path, TRUSTED)
    ids, stated = loaded.predict(battles.lazy())
    assert read == schema
    assert ids.to_list() == battles["id"].to_list()
    assert np.array_equal(stated, predictor.predict(battles.lazy())[1])
    assert np.allclose(stated.sum(axis=1), 1, atol=1e-12)


def test_exchanged_battles_get_exactly_exchanged_probabilities(
    predictor: Predictor, battles: pl.DataFrame
) -> None:
    _, given = predictor.predict(battles.lazy())
    _, other = predictor.predict(swap_battles(battles).lazy())
    assert np.array_equal(exchanged(other), given)


def test_the_first_batch_is_small_so_that_the_time_left_is_known_early(
    predictor: Predictor, battles: pl.DataFrame
) -> None:
    seen: list[int] = []
    predictor.predict(battles.lazy(), seen.append)
    assert seen[0] < len(battles) == seen[-1]


def test_batches_change_nothing(
    predictor: Predictor, battles: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = predictor.predict(battles.lazy())
    monkeypatch.setattr("models.stacking.predictor.BATCH", 7)
    seen: list[int] = []
    _, parts = predictor.predict(battles.lazy(), seen.append)
    assert np.array_equal(parts, whole)
    assert seen[-1] == len(battles)
    assert len(seen) == -(-len(battles) // 7)


def test_no_battles_get_no_probabilities(predictor: Predictor, battles: pl.DataFrame) -> None:
    ids, stated = predictor.predict(battles.lazy().head(0))
    assert (len(ids), stated.shape) == (0, (0, 3))


def test_names_and_outcomes_are_never_read(predictor: Predictor, battles: pl.DataFrame) -> None:
    _, given = predictor.predict(battles.lazy())
    _, without = predictor.predict(battles.drop("model_a", "model_b", "label").lazy())
    assert np.array_equal(given, without)


def test_nothing_in_it_is_pickled(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors", ".txt"}
    assert not any(path.read_bytes()[:1] == b"\x80" for path in files)


def test_its_manifest_lists_exactly_the_other_files(folder: Path) -> None:
    listed = json.loads((folder / "manifest.json").read_text())["sha256"]
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(listed) == files - {"manifest.json"}


def test_a_bundle_in_place_of_a_larger_one_holds_nothing_of_it(
    predictor: Predictor, battles: pl.DataFrame, folder: Path
) -> None:
    """As after a training with fewer folds."""
    fewer = {name: list(fitted)[:2] for name, fitted in predictor.signals.items()}
    trees = replace(predictor.blend.trees, boosters=predictor.blend.trees.boosters[:2])
    smaller = replace(predictor, signals=fewer, blend=replace(predictor.blend, trees=trees))
    save_bundle(smaller, ARENA, folder)
    loaded, _ = load_bundle(folder, TRUSTED)
    expected = smaller.predict(battles.lazy())[1]
    assert np.array_equal(loaded.predict(battles.lazy())[1], expected)
    assert not (folder / "trees" / "2.txt").exists()


def test_a_file_that_was_not_written_with_it_is_refused(folder: Path) -> None:
    (folder / "signals" / "text" / "1").mkdir()
    (folder / "signals" / "text" / "1" / "state.json").write_text("{}")
    with pytest.raises(BundleError, match=r"signals/text/1/state\.json is not in its list"):
        load_bundle(folder, TRUSTED)


def test_any_changed_or_missing_file_is_named(folder: Path) -> None:
    for name in json.loads((folder / "manifest.json").read_text())["sha256"]:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        with pytest.raises(BundleError, match=f"{name} differs"):
            load_bundle(folder, TRUSTED)
        (folder / name).unlink()
        with pytest.raises(BundleError, match=f"{name} is missing"):
            load_bundle(folder, TRUSTED)
        (folder / name).write_bytes(content)
    load_bundle(folder, TRUSTED)


def test_half_a_bundle_is_none(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(BundleError, match="holds no bundle"):
        load_bundle(folder)


def test_another_format_or_other_columns_are_refused(folder: Path) -> None:
    change(folder, columns=["x"])
    with pytest.raises(BundleError, match="other columns"):
        load_bundle(folder, TRUSTED)
    change(folder, format=99)
    with pytest.raises(BundleError, match="format 99"):
        load_bundle(folder, TRUSTED)


def test_an_environment_that_predicts_otherwise_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.stacking.predictor.apply_temperature", lambda raw, temperature: raw)
    with pytest.raises(BundleError, match="predicts the probe differently"):
        load_bundle(folder, TRUSTED)


def test_code_from_outside_the_project_runs_only_where_its_module_is_trusted(folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"add --trust {Remembering.__module__}"):
        load_bundle(folder)
    change(folder, signals={"evil": "os:system"})
    with pytest.raises(ConfigError, match="outside this project"):
        load_bundle(folder, TRUSTED)
    with pytest.raises(ConfigError, match=r"no subclass of featlab\.Signal"):
        load_bundle(folder, ["os"])
