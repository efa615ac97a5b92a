import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from featlab.battles import joined_turns, read_battles
from featlab.columns import parities
from featlab.features import BattleColumns
from models.analysis.attribution import (
    column_attribution,
    grouped_attribution,
    partial_dependence,
)
from models.analysis.bias import BOTH_ORDERS, ONE_ORDER, audit
from models.analysis.counts import (
    model_records,
    oddities,
    outcome_counts,
    outcomes_by_length_ratio,
)
from models.analysis.differences import more_wins
from models.analysis.effects import distributions, feature_effects, fit_logistic
from models.analysis.predictions import (
    calibration_noise,
    loss_by_slice,
    quantile_slices,
    reliability,
)
from models.analysis.strengths import VOTERS, expected_outcomes, leaderboard, pair_records
from models.evaluation.intervals import binomial_z, ratio, wilson
from models.stacking.trees import fit_trees, mean_over_orders, predict_both_orders
from tests.models.conftest import QUICK, make_data


@pytest.mark.parametrize(("wins", "count"), [(0, 7), (7, 7), (3, 10), (61, 100), (1, 2000)])
def test_wilson_is_scipys(wins: int, count: int) -> None:
    expected = binomtest(wins, count).proportion_ci(method="wilson")
    share, low, high = wilson(wins, count)
    assert (share, low, high) == pytest.approx((wins / count, expected.low, expected.high))


def test_no_trial_gives_no_interval() -> None:
    assert np.isnan(wilson([0], [0])).all()
    assert math.isnan(binomial_z(0, 0))


def test_the_interval_of_a_ratio_widens_with_groups_and_matches_the_bootstrap() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 5)
    values = np.repeat(generator.normal(size=200), 5) + 0.1 * generator.normal(size=1000)
    ones = np.ones(1000)
    alone, grouped = ratio(values, ones, np.arange(1000)), ratio(values, ones, groups)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    means = values.reshape(200, 5).mean(axis=1)
    drawn = means[generator.integers(0, 200, (4000, 200))].mean(axis=1)
    assert (grouped.high - grouped.low) / 3.92 == pytest.approx(drawn.std(), rel=0.1)


def test_the_logistic_fit_is_scikit_learns() -> None:
    generator = np.random.default_rng(1)
    design = np.column_stack([np.ones(800), generator.normal(size=(800, 2))])
    won = generator.random(800) < 1 / (1 + np.exp(-design @ [0.2, 0.8, -0.5]))
    found = fit_logistic(design, won.astype(float), np.arange(800))
    expected = LogisticRegression(C=100.0, fit_intercept=False, tol=1e-8).fit(design, won)
    assert [each.value for each in found] == pytest.approx(expected.coef_[0], abs=1e-4)
    assert found[1].low < 0.8 < found[1].high


def test_a_separating_column_keeps_its_coefficient_finite() -> None:
    column = np.array([-1.0] * 20 + [1.0] * 20)
    (found,) = fit_logistic(column[:, None], (column > 0).astype(float), np.arange(40))
    assert 3 < found.value < 30


def battles_of_text(count: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Text columns of battles in which the one with more newlines tends to win."""
    generator = np.random.default_rng(seed)
    lines = generator.integers(1, 9, (count, 2))
    words = generator.integers(1, 30, (count, 2))
    margin = 0.5 * (lines[:, 0] - lines[:, 1]) + generator.logistic(size=count)
    labels = np.where(np.abs(margin) < 0.4, 2, np.where(margin > 0, 0, 1))
    responses = [
        [["- word\n" * lines[row, side] + "more " * words[row, side]] for row in range(count)]
        for side in (0, 1)
    ]
    frame = pl.DataFrame(
        {
            "id": range(count),
            "prompt": [["Why?"]] * count,
            "response_a": responses[0],
            "response_b": responses[1],
        }
    )
    return BattleColumns().compute(read_battles(frame)).collect(), labels.astype(np.int64)


def test_an_effect_that_is_there_is_found_also_at_equal_length() -> None:
    text, labels = battles_of_text(600)
    effects = feature_effects(text, labels, np.arange(600))
    newlines = effects.filter(pl.col("feature") == "newlines").row(0, named=True)
    assert newlines["alone_low"] > 1.5
    assert newlines["at_equal_length_low"] > 1.5
    assert effects.filter(pl.col("feature") == "characters")["at_equal_length"].null_count() == 1
    assert "emoji" not in effects["feature"].to_list()


def test_where_no_feature_has_an_effect_no_distribution_is_told() -> None:
    text, labels = battles_of_text(10)
    for votes in (labels, np.zeros(10, np.int64)):
        effects = feature_effects(text, votes, np.arange(10))
        found = distributions(text, votes, effects["feature"])
        assert effects.is_empty()
        assert found.is_empty()
        assert {"feature", "outcome", "share"} <= set(found.columns)


def test_effects_turn_round_with_the_sides_exchanged() -> None:
    text, labels = battles_of_text(300)
    columns = BattleColumns()
    from featlab.parity import swap

    swapped = swap(text, columns.parity)
    turned = np.where(labels < 2, 1 - labels, labels)
    first = feature_effects(text, labels, np.arange(300)).sort("feature")
    second = feature_effects(swapped, turned, np.arange(300)).sort("feature")
    assert first["alone"].to_numpy() == pytest.approx(second["alone"].to_numpy(), rel=1e-6)


def make_verdicts(count: int = 400, lean: float = 0.0) -> tuple[np.ndarray, ...]:
    """Labels, groups, and predictions of both orders that lean to the side shown first."""
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 3, count)
    first = generator.dirichlet([4, 4, 3], count)
    other = first[:, [1, 0, 2]].copy()
    for order in (first, other):
        moved = lean * order[:, 1]
        order[:, 0] += moved
        order[:, 1] -= moved
    return labels, np.arange(count), first, other


def test_a_lean_to_the_side_shown_first_is_found_and_gone_after_averaging() -> None:
    text, _ = battles_of_text(400)
    shares = {}
    for lean in (0.0, 0.2):
        rows = audit(text, *make_verdicts(lean=lean)).filter(pl.col("bias") == "position")
        shares[lean] = dict(rows.select("who", "share").iter_rows())
    assert shares[0.0][ONE_ORDER] == pytest.approx(0.5)
    assert shares[0.2][ONE_ORDER] > 0.57
    assert shares[0.2][BOTH_ORDERS] == pytest.approx(0.5)
    assert shares[0.0][VOTERS] == shares[0.2][VOTERS]


def test_what_differs_nowhere_is_not_audited() -> None:
    text, _ = battles_of_text(400)
    found = audit(text, *make_verdicts())
    assert "verbosity" in found["bias"].to_list()
    assert "refusal" not in found["bias"].to_list()


def test_more_wins_counts_decisive_battles_that_differ() -> None:
    a, b = np.array([1.0, 2, 3, 4]), np.array([2.0, 2, 1, 1])
    row = more_wins(a, b, np.array([1, 0, 0, 2]))
    assert (row["wins"], row["of"]) == (2, 2)


def test_counts_and_records_agree() -> None:
    labels = np.array([0, 1, 2, 0])
    battles = pl.DataFrame(
        {"model_a": ["x", "y", "x", None], "model_b": ["y", "x", "y", "x"], "label": labels}
    )
    assert outcome_counts(labels)["battles"].to_list() == [2, 1, 1]
    records = {row["model"]: row for row in model_records(battles).to_dicts()}
    assert (records["x"]["wins"], records["x"]["ties"], records["x"]["losses"]) == (2, 1, 1)
    assert (records["y"]["wins"], records["y"]["ties"], records["y"]["losses"]) == (0, 1, 2)


def test_every_battle_stands_in_one_bin_of_length_ratio() -> None:
    generator = np.random.default_rng(5)
    a, b = generator.integers(0, 5000, (2, 500)).astype(float)
    labels = generator.integers(0, 3, 500)
    table = outcomes_by_length_ratio(a, b, labels)
    assert table["battles"].sum() == 500
    mirrored = outcomes_by_length_ratio(b, a, np.where(labels < 2, 1 - labels, labels))
    assert table["battles"].sum() == mirrored["battles"].sum()


def test_distributions_hold_every_battle_and_turn_round_with_the_sides() -> None:
    text, labels = battles_of_text(300)
    found = distributions(text, labels, ["newlines"])
    assert found["battles"].sum() == 300
    shares = found.group_by("outcome").agg(pl.col("share").sum())["share"].to_numpy()
    assert shares == pytest.approx(1)
    from featlab.parity import swap

    turned = np.where(labels < 2, 1 - labels, labels)
    mirrored = distributions(swap(text, BattleColumns().parity), turned, ["newlines"])
    a, b = (
        frame.filter(pl.col("outcome") == outcome)["battles"].to_list()
        for frame, outcome in ((found, "a"), (mirrored, "b"))
    )
    assert a == b[::-1]


def make_games(count: int = 900) -> tuple[pl.DataFrame, pl.DataFrame, np.ndarray]:
    """Battles of five models, one seldom seen, in which b's side is the better the later its name.

    The last model writes twice as long, and length alone wins a part of the battles.
    """
    generator = np.random.default_rng(8)
    names = np.array(list("abcde"))
    first = generator.choice(5, count, p=[0.24, 0.24, 0.24, 0.24, 0.04])
    second = (first + generator.integers(1, 5, count)) % 5
    kept = ~((second == 4) & (generator.random(count) < 0.9))
    first, second = first[kept], second[kept]
    lengths = [
        100 * (1 + (side == 3)) + generator.integers(0, 80, len(side)) for side in (first, second)
    ]
    margin = 0.5 * (first - second) + 0.01 * (lengths[0] - lengths[1])
    margin = margin + generator.logistic(size=len(first))
    labels = np.where(np.abs(margin) < 0.4, 2, np.where(margin > 0, 0, 1))
    nothing = np.zeros(len(first))
    text = pl.DataFrame(
        {
            f"response_{side}__{feature}": values if feature == "characters" else nothing
            for side, values in zip("ab", lengths, strict=True)
            for feature in ("characters", "headers", "bold_spans", "list_items")
        }
    )
    battles = pl.DataFrame({"model_a": names[first], "model_b": names[second], "label": labels})
    return battles, text, np.arange(len(first))


def test_ranks_lie_in_their_intervals_and_the_little_known_have_none() -> None:
    battles, text, groups = make_games()
    table = leaderboard(battles, text, groups, 50, 0)
    known, few = table.filter(~pl.col("few")), table.filter(pl.col("few"))
    assert table["few"].to_list() == sorted(table["few"])
    assert few["model"].to_list() == ["e"]
    assert few["rank"].null_count() == few["best_rank"].null_count() == 1
    assert known["rank"].to_list() == [1, 2, 3, 4]
    assert (known["best_rank"] <= known["rank"]).all()
    assert (known["rank"] <= known["worst_rank"]).all()
    assert known["strength"].is_sorted(descending=True)


def test_who_wins_by_length_is_weaker_at_equal_length() -> None:
    table = leaderboard(*make_games(), 20, 0).sort("model")
    moved = (table["style_controlled"] - table["strength"]).to_numpy()
    assert moved.argmin() == 3
    assert moved[3] < -0.2


def test_pairs_stand_twice_and_mirror_each_other() -> None:
    battles, _, _ = make_games()
    table = pair_records(battles["model_a"], battles["model_b"], battles["label"].to_numpy())
    mirrored = table.join(table, left_on=["winner", "loser"], right_on=["loser", "winner"])
    assert len(mirrored) == len(table)
    assert table["battles"].sum() == 2 * len(battles)
    assert (
        mirrored["wins"] + mirrored["wins_right"] + mirrored["ties"] == mirrored["battles"]
    ).all()
    assert (mirrored["share"] + mirrored["share_right"]).to_numpy() == pytest.approx(1)


def test_certain_and_right_predictions_are_reliable() -> None:
    labels = np.arange(30) % 3
    table = reliability(np.eye(3)[labels], labels, bins=3)
    assert (table["observed"] - table["stated"]).abs().max() == pytest.approx(0)


def test_noise_shrinks_with_the_sample() -> None:
    small = calibration_noise(np.full((200, 3), 1 / 3), 0, 20)
    large = calibration_noise(np.full((5000, 3), 1 / 3), 0, 20)
    assert large[1] < small[0]


def test_slices_keep_their_order_and_lists_count_in_each() -> None:
    values = np.arange(60.0)
    slices = {
        "length": quantile_slices(values, 3, "n"),
        "kind": pl.Series([["x", "y"]] * 30 + [["y"]] * 30),
    }
    table = loss_by_slice(slices, values, values, np.arange(60))
    assert table["slice"].to_list() == ["0 to 19 n", "20 to 39 n", "40 to 59 n", "y", "x"]
    assert table["battles"].to_list() == [20, 20, 20, 60, 30]


def test_oddities_are_counted() -> None:
    flags = ("prompt", "response_a", "response_b")
    frame = pl.DataFrame(
        {
            **{f"{name}__null": [True, False, False] for name in flags},
            **{f"{name}__empty": [False, True, False] for name in flags},
            "identical": [False, True, True],
            "group": [1, 1, 2],
            "content": [7, 7, 8],
            "label": [0, 2, 1],
        }
    )
    counts = dict(oddities(frame).select("oddity", "battles").iter_rows())
    assert counts["responses are identical"] == 2
    assert counts["... and voted a tie"] == 1
    assert counts["all three texts stand elsewhere too"] == 2
    assert counts["... with another outcome"] == 2


def test_the_real_battles_agree_with_the_published_figures(real_data) -> None:  # type: ignore[no-untyped-def]
    battles = read_battles(real_data / "arena" / "train.csv")
    frame = battles.select(
        "label",
        joined_turns("response_a").str.len_chars().alias("a"),
        joined_turns("response_b").str.len_chars().alias("b"),
    ).collect()
    labels = frame["label"].to_numpy().astype(np.int64)
    a, b = (frame[side].to_numpy().astype(float) for side in "ab")
    shares = outcome_counts(labels)
    for published, row in zip((0.34908, 0.34191, 0.30901), shares.to_dicts(), strict=True):
        assert row["low"] < published < row["high"]
    longer = more_wins(a, b, labels)
    assert longer["low"] < 0.6146 < longer["high"]
    table = outcomes_by_length_ratio(a, b, labels, np.exp([-1.0, -0.3, 0.3, 1.0]))
    rounded = [round(share, 2) for share in table["share"]]
    assert rounded == [
        *(0.23, 0.58, 0.19),
        *(0.27, 0.46, 0.27),
        *(0.32, 0.30, 0.38),
        *(0.47, 0.25, 0.28),
        *(0.49, 0.24, 0.27),
    ]


def test_attribution_sums_to_one_and_finds_the_columns_that_decide() -> None:
    data = make_data(600)
    trees, _ = fit_trees(data, QUICK, seed=0)
    models = dict(enumerate(trees.boosters))
    given, swapped = data.both_orders
    rows = {fold: given[data.folds == fold] for fold in models}
    names = [column.name for column in trees.columns]
    attribution = column_attribution(models, rows, names)
    totals = attribution.group_by("fold").agg(pl.col("gain", "contribution").sum())
    assert totals["gain"].to_numpy() == pytest.approx(1)
    assert totals["contribution"].to_numpy() == pytest.approx(1)
    grouped = grouped_attribution(attribution, {name: name for name in names})
    assert set(grouped["group"].head(2)) == {"x__difference", "x__sum"}
    assert (grouped["contribution_low"] <= grouped["contribution"]).all()
    predict = [
        lambda first, second, model=model: mean_over_orders(
            *predict_both_orders(model, first, second)
        )
        for model in trees.boosters
    ]
    parity = parities(trees.columns)
    curves = partial_dependence(predict, (given, swapped), parity, ["x__difference"])
    a, b = (curves.filter(pl.col("outcome") == side)["probability"].to_numpy() for side in "ab")
    assert a[-1] > a[0] + 0.3
    assert b[0] > b[-1] + 0.3
    total = curves.group_by("value").agg(pl.col("probability").sum())["probability"].to_numpy()
    assert total == pytest.approx(1)


def test_models_that_tie_often_are_expected_to() -> None:
    random = np.random.default_rng(0)
    names = np.array(["often", "b", "c", "d"])
    pairs = np.array([random.choice(4, 2, replace=False) for _ in range(3_000)])
    often = (pairs == 0).any(axis=1)
    tied = random.random(len(pairs)) < np.where(often, 0.7, 0.1)
    battles = pl.DataFrame(
        {
            "model_a": names[pairs[:, 0]],
            "model_b": names[pairs[:, 1]],
            "label": np.where(tied, 2, random.integers(0, 2, len(pairs))),
        }
    )
    expected = expected_outcomes(battles, np.arange(len(battles)) % 5)[:, 2]
    # Shrunk towards each other, by the prior on how often a model ties.
    assert expected[often].mean() > 0.55
    assert expected[~often].mean() < 0.25
