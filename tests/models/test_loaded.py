"""A predictor in the hand: its answers agree, mirror and add up."""

import multiprocessing
from itertools import permutations
from pathlib import Path

import joblib
import numpy as np
import polars as pl
import pytest

import models
from featlab.battles import PROBABILITIES, read_battles
from featlab.errors import BattleError, BundleError
from featlab.generated import generate_battles
from models.loaded import LoadedPredictor
from tests.models.small_run import make_run

PAIR = ("Is it so?", "I'm sorry, but I cannot say.\n\n- **No**", "Yes! It is.\nCertainly.")
MIRRORED = (PAIR[0], PAIR[2], PAIR[1])


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    return generate_battles(150, seed=3).train


@pytest.fixture(scope="module")
def run(raw: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(raw, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def model(run: Path) -> LoadedPredictor:
    return models.load(str(run))


def test_run_and_bundle_as_text_and_as_path_are_one_predictor_of_short_description(
    run: Path, model: LoadedPredictor, tmp_path: Path
) -> None:
    for path in (run, run / "bundle", str(run / "bundle")):
        assert models.load(path).predict_one(*PAIR) == model.predict_one(*PAIR)
    assert len(repr(model)) < 200
    with pytest.raises(BundleError, match="holds no bundle"):
        models.load(tmp_path)


def test_one_battle_is_predicted_as_in_a_frame_in_dicts_and_mirrored(
    model: LoadedPredictor, raw: pl.DataFrame
) -> None:
    frame = raw.select("id", "prompt", "response_a", "response_b").head(5)
    predicted = model.predict(frame)
    assert predicted.columns == ["id", *PROBABILITIES]
    assert predicted["id"].to_list() == frame["id"].to_list()
    assert model.predict(frame.to_dicts()).equals(predicted)
    assert model.predict(frame.drop("id")).drop("id").equals(predicted.drop("id"))
    turns = read_battles(frame).collect().row(2, named=True)
    one = model.predict_one(turns["prompt"], turns["response_a"], turns["response_b"])
    assert tuple(one) == predicted.row(2)[1:]
    mirrored = model.predict_one(turns["prompt"], turns["response_b"], turns["response_a"])
    assert (mirrored.b, mirrored.a, mirrored.tie) == tuple(one)


def test_a_ranking_shares_out_all_wins_and_knows_no_order(model: LoadedPredictor) -> None:
    responses = [PAIR[1], PAIR[2], "No."]
    shares = {}
    for order in permutations(range(3)):
        ranked = model.rank(PAIR[0], [responses[index] for index in order])
        assert ranked["share"].sum() == pytest.approx(1.5)
        assert ranked["share"].is_sorted(descending=True)
        for response, share in ranked.select("response", "share").rows():
            assert shares.setdefault(order[response], share) == pytest.approx(share, abs=1e-12)
    one = model.predict_one(PAIR[0], *responses[:2])
    pair = model.rank(PAIR[0], responses[:2]).sort("response")["share"]
    assert pair[0] == pytest.approx(one.a + one.tie / 2)
    with pytest.raises(BattleError, match="at least two"):
        model.rank(PAIR[0], responses[:1])


def test_a_score_is_of_one_response_alone_and_tells_who_wins(
    model: LoadedPredictor, raw: pl.DataFrame
) -> None:
    battles = raw.head(60)
    scored, predicted = model.scores(battles), model.predict(battles)
    texts = model.read(battles).collect().row(0, named=True)
    alone = model.score(texts["prompt"], texts["response_b"])
    assert alone == pytest.approx(scored["score_b"][0], abs=1e-12)
    mirrored = battles.rename({"response_a": "response_b", "response_b": "response_a"})
    both = model.scores(mirrored).select("id", score_a="score_b", score_b="score_a")
    assert both.equals(scored)
    assert model.score("Is it so?", "") == pytest.approx(0, abs=1e-12)
    odds = np.log(predicted["winner_model_a"] / predicted["winner_model_b"])
    assert np.corrcoef(scored["score_a"] - scored["score_b"], odds)[0, 1] > 0.5


def test_reasons_add_up_and_change_sides_with_the_battle(model: LoadedPredictor) -> None:
    given, mirrored = model.explain(*PAIR), model.explain(*MIRRORED)
    one = model.predict_one(*PAIR)
    assert given.probabilities == pytest.approx(tuple(one), abs=1e-12)
    assert given.families["margin"].sum() == pytest.approx(one.a - one.b, abs=1e-12)
    both = given.families.join(mirrored.families, on="family")
    assert len(both) == len(given.families)
    assert (both["margin"] + both["margin_right"]).abs().max() <= 1e-12
    assert (both["tie"] - both["tie_right"]).abs().max() <= 1e-12


def test_a_battle_of_like_sides_has_no_reasons_for_either(model: LoadedPredictor) -> None:
    like = model.explain(PAIR[0], PAIR[1], PAIR[1])
    assert like.families["margin"].abs().max() <= 1e-12


def test_a_family_that_no_model_reads_has_no_effect(
    model: LoadedPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members predict from the lexicon alone, so only that may have an effect."""
    names = {column.name for column in model.ensemble.columns if column.family != "lexicon"}

    def blind(self: object, frame: pl.DataFrame) -> np.ndarray:
        return seeing(frame.with_columns(pl.lit(0.0).alias(name) for name in names))

    seeing = model.ensemble.blend.predict
    monkeypatch.setattr(type(model.ensemble.blend), "predict", blind)
    effects = dict(model.explain(*PAIR).families.select("family", "margin").rows())
    assert abs(effects.pop("lexicon")) > 0
    assert set(effects.values()) == {0.0}


def test_the_text_names_the_side_the_families_and_the_lines_that_fire(
    model: LoadedPredictor,
) -> None:
    explained = model.explain(*PAIR)
    said = str(explained).splitlines()
    assert said[1].startswith("A by" if explained.margin >= 0 else "B by")
    strongest = explained.families["family"][0]
    assert strongest in said[1]
    lines = {line for text in PAIR[1:] for line in text.splitlines()}
    fired = [line for sides in explained.passages.values() for line in sides if line]
    assert fired
    assert set(fired) <= lines
    of_responses = explained.features.filter(pl.col("a").is_not_null())["meaning"]
    assert not of_responses.str.starts_with("of the prompt: ").any()


def test_a_whole_file_is_explained_as_its_battles_are(
    model: LoadedPredictor, raw: pl.DataFrame
) -> None:
    few, seen = raw.head(2), []
    frame = model.explain_all(few, seen.append)
    predicted = model.predict(few)
    margins = predicted["winner_model_a"] - predicted["winner_model_b"]
    summed = frame.group_by("id", maintain_order=True).agg(pl.col("margin").sum())
    assert summed["margin"].to_list() == pytest.approx(margins.to_list(), abs=1e-12)
    assert seen == [1, 2]


def test_training_battles_are_known_again_in_either_order_and_under_other_ids(
    model: LoadedPredictor, raw: pl.DataFrame
) -> None:
    known = model.ensemble.trained_on
    assert known is not None
    mirrored = raw.rename({"response_a": "response_b", "response_b": "response_a"})
    renamed = raw.with_columns(pl.col("id") + 10**12)
    for frame, ids, texts in ((raw, 150, 150), (mirrored, 150, 150), (renamed, 0, 150)):
        overlap = known.overlap(
            model.read(frame.select("id", "prompt", "response_a", "response_b"))
        )
        assert (overlap.battles, overlap.ids, overlap.texts) == (150, ids, texts)
    other = generate_battles(20, seed=99).train.with_columns(pl.col("id") + 10**12)
    fresh = known.overlap(model.read(other))
    assert (fresh.ids, fresh.texts) == (0, 0)
    assert "none of 20" in str(fresh)


def test_worker_processes_predict_the_same(model: LoadedPredictor) -> None:
    here = model.predict_one(*PAIR)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.starmap(model.predict_one, [PAIR]) == [here]
    assert joblib.Parallel(1)(joblib.delayed(model.predict_one)(*PAIR) for _ in range(1)) == [here]


def test_one_battle_may_lack_a_text_and_is_read_as_a_file_is(model: LoadedPredictor) -> None:
    battles = [
        {"prompt": ["a\r\nb"], "response_a": [None, "x"], "response_b": ["y\r\n"]},
        {"prompt": ["a\nb"], "response_a": None, "response_b": ["y\n"]},
    ]
    read = model.predict(pl.DataFrame(battles)).select(PROBABILITIES)
    for row, battle in enumerate(battles):
        assert tuple(model.predict_one(*battle.values())) == read.row(row)  # type: ignore[arg-type]
    assert model.explain("a", [None, "x"], "b").families.height > 0  # type: ignore[list-item]
    with pytest.raises(BattleError, match="response_b: holds int, not text"):
        model.predict_one("a", "b", [1])  # type: ignore[list-item]


def test_no_battles_have_no_reasons(model: LoadedPredictor) -> None:
    none = pl.DataFrame(schema=dict.fromkeys(("prompt", "response_a", "response_b"), pl.String))
    assert model.explain_all(none).columns == ["id", "family", "margin", "tie"]
    assert model.explain_all(none).is_empty()


def test_halves_of_characters_are_mended_and_odd_arguments_refused(model: LoadedPredictor) -> None:
    whole = model.predict_one("\ud83d\ude00", "\ufffd", "b")
    assert model.predict_one("\U0001f600", "\ud83d", "b") == whole
    for wrong in ({"role": "user"}, 1, b"x", [{"role": "user"}]):
        with pytest.raises(BattleError, match="not text"):
            model.predict_one(wrong, "a", "b")  # type: ignore[arg-type]
    for wrong in ("abc", {"a": "b"}):
        with pytest.raises(BattleError, match="are a list"):
            model.rank("p", wrong)  # type: ignore[arg-type]
    assert model.rank("p", iter(["a", "b"])).height == 2  # type: ignore[arg-type]
