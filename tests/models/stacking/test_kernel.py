"""The kernel half: symmetric to the last bit, out of fold, and blind to what it holds out."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.linalg import solve

import models.stacking.kernel
from featlab.parity import Parity, swap
from models.evaluation.metrics import log_loss, prior
from models.stacking.kernel import (
    PENALTIES,
    Coordinates,
    KernelStacker,
    fit_kernel_stacker,
    fit_symmetric_kernel,
)
from models.stacking.scaled_columns import LARGEST, ScaledColumns
from models.stacking.table import ExtraRows, StackingData
from tests.models.conftest import make_data


def pairings(count: int = 400, seed: int = 0) -> StackingData:
    """Pairings only: the kernel half reads no column of one side."""
    return make_data(count, seed).select(["x__difference", "x__sum"])


def with_vector(data: StackingData, dimension: int = 5, seed: int = 4) -> StackingData:
    vector = np.random.default_rng(seed).normal(size=(len(data.labels), dimension))
    names = [f"reading_vector__{axis}" for axis in range(dimension)]
    return replace(
        data,
        frame=data.frame.hstack(pl.DataFrame(vector, schema=names)),
        parity={**data.parity, **dict.fromkeys(names, Parity.ODD)},
    )


def test_exchanged_sides_give_exactly_exchanged_probabilities() -> None:
    data = with_vector(pairings())
    stacker, _ = fit_kernel_stacker(data, seed=0)
    exchanged = stacker.predict(swap(data.frame, data.parity))
    assert np.array_equal(exchanged[:, [1, 0, 2]], stacker.predict(data.frame))


def test_probabilities_sum_to_one_and_beat_the_prior() -> None:
    data = pairings()
    predicted = fit_kernel_stacker(data, seed=0)[1].probabilities
    assert np.allclose(predicted.sum(1), 1)
    shares = np.tile(prior(data.labels), (len(data.labels), 1))
    assert log_loss(predicted, data.labels) < log_loss(shares, data.labels) - 0.1


def test_labels_of_the_held_out_fold_change_nothing_about_its_prediction() -> None:
    data = pairings()
    before = fit_kernel_stacker(data, seed=0)[1].probabilities
    labels = np.where(data.folds == 0, (data.labels + 1) % 3, data.labels)
    after = fit_kernel_stacker(replace(data, labels=labels), seed=0)[1].probabilities
    assert np.array_equal(before[data.folds == 0], after[data.folds == 0])
    assert not np.array_equal(before[data.folds != 0], after[data.folds != 0])


def test_a_prediction_depends_on_its_own_row_alone() -> None:
    data = with_vector(pairings(900))
    stacker, _ = fit_kernel_stacker(data, seed=0)
    together = stacker.predict(data.frame)
    for rows in (slice(7, 8), slice(3, 300), slice(255, 400), slice(1, 900), slice(370, 800)):
        assert np.array_equal(together[rows], stacker.predict(data.frame[rows]))


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pairings()
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("FEATLAB_THREADS", threads)
        results.append(fit_kernel_stacker(data, seed=0)[1].probabilities)
    assert np.array_equal(results[0], results[1])


def test_with_all_battles_as_landmarks_it_is_the_plain_kernel_regression() -> None:
    """Against Newton's method on the full kernel, as a textbook writes it."""
    data = pairings(150)
    rows = np.arange(150)
    model = fit_symmetric_kernel(data, rows, seed=0)
    decisive = np.flatnonzero(data.labels != 2)
    targets = (data.labels[decisive] == 0).astype(float)
    odd, even = model.coordinates.place(data.frame)

    def near(sign: float) -> np.ndarray:
        points, others = np.hstack([odd, even]), np.hstack([sign * odd, even])
        return np.exp(-((points[:, None] - others[None]) ** 2).sum(axis=2))

    kernel = ((near(1.0) - near(-1.0)) / 2)[np.ix_(decisive, decisive)] / model.penalties[0]
    logits = np.zeros(len(decisive))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-logits))
        curvature = chance * (1 - chance)
        working = logits + (targets - chance) / curvature
        logits = kernel @ solve(kernel + np.diag(1 / curvature), working)
    found = model.predict(data.frame)[decisive]
    assert np.log(found[:, 0] / found[:, 1]) == pytest.approx(logits, abs=0.01)


def test_many_battles_on_a_line_do_no_harm() -> None:
    """Landmarks nearly on top of each other: their kernel has hardly any rank."""
    data = pairings(1500)
    frame = data.frame.with_columns(pl.col("x__difference").round(3), pl.lit(0.0).alias("x__sum"))
    predicted = fit_kernel_stacker(replace(data, frame=frame), seed=0)[1].probabilities
    shares = np.tile(prior(data.labels), (len(data.labels), 1))
    assert log_loss(predicted, data.labels) < log_loss(shares, data.labels) - 0.03


def test_few_landmarks_predict_about_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_vector(pairings())
    whole = fit_kernel_stacker(data, seed=0)[1].probabilities
    monkeypatch.setattr(models.stacking.kernel, "LANDMARKS", 120)
    stacker, found = fit_kernel_stacker(data, seed=0)
    assert all(len(model.margin) == 120 for model in stacker.models)
    few = found.probabilities
    assert log_loss(few, data.labels) == pytest.approx(log_loss(whole, data.labels), abs=0.02)


def test_missing_values_lie_at_the_centre_and_huge_ones_are_clipped() -> None:
    frame = pl.DataFrame({"x": [1.0, 3.0, None, float("nan")]})
    columns = ScaledColumns.of(frame, ["x"], odd=False)
    assert columns.scale(pl.DataFrame({"x": [None, 1e30]}, {"x": pl.Float64})).ravel().tolist() == [
        0.0,
        LARGEST,
    ]


def test_a_vector_lies_as_far_off_as_its_share_says_whatever_its_unit() -> None:
    data = with_vector(pairings())
    names = [name for name in data.frame.columns if "_vector__" in name]
    long = data.frame.with_columns(pl.col(names) * 1000)
    odd, _ = Coordinates.of(long, data.parity).place(long)
    vector = odd[:, 1:]
    apart = 2 * (vector**2).sum(axis=1).mean()
    assert apart == pytest.approx(models.stacking.kernel.VECTOR_SHARE)


def test_a_column_without_spread_does_no_harm() -> None:
    data = pairings()
    frame = data.frame.with_columns(pl.lit(0.0).alias("constant"))
    widened = replace(data, frame=frame, parity={**data.parity, "constant": Parity.ODD})
    losses = [
        log_loss(fit_kernel_stacker(each, seed=0)[1].probabilities, data.labels)
        for each in (data, widened)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_penalties_come_from_the_list_and_noise_takes_a_strong_one() -> None:
    data = pairings()
    noise = np.random.default_rng(3).normal(size=(len(data.labels), 40))
    frame = pl.DataFrame({f"n{column}": noise[:, column] for column in range(40)})
    blind = replace(data, frame=frame, parity=dict.fromkeys(frame.columns, Parity.ODD))
    rows = np.arange(len(data.labels))
    telling = fit_symmetric_kernel(data, rows, seed=0).penalties
    assert set(telling) <= set(PENALTIES)
    assert fit_symmetric_kernel(blind, rows, seed=0).penalties[0] > telling[0]


def test_without_ties_the_base_rate_stands() -> None:
    data = pairings()
    labels = np.where(data.labels == 2, 0, data.labels)
    predicted = fit_kernel_stacker(replace(data, labels=labels), seed=0)[1].probabilities
    assert np.allclose(predicted[:, 2], 0.5 / ((data.folds != 0).sum() + 1.0), rtol=0.1)
    assert predicted[:, 0].std() > 0.05


def test_the_stacker_is_the_mean_of_its_models() -> None:
    data = pairings()
    stacker, _ = fit_kernel_stacker(data, seed=0)
    each = [KernelStacker([model]).predict(data.frame) for model in stacker.models]
    assert stacker.predict(data.frame) == pytest.approx(np.mean(each, axis=0))


def decisive_extra(count: int, *, reverse: bool = False) -> ExtraRows:
    more = pairings(count, seed=8)
    kept = np.flatnonzero(more.labels != 2)
    labels = 1 - more.labels[kept] if reverse else more.labels[kept]
    return ExtraRows(
        more.frame[kept],
        np.eye(3)[labels],
        np.ones(len(kept)),
        np.zeros(len(kept), np.bool_),
        more.folds[kept],
    )


def test_extra_battles_teach_who_wins_and_those_without_ties_nothing_about_ties() -> None:
    data = pairings(90)
    alone = fit_kernel_stacker(data, seed=0)[1].probabilities
    taught = fit_kernel_stacker(replace(data, extra=decisive_extra(600)), seed=0)[1]
    misled = fit_kernel_stacker(replace(data, extra=decisive_extra(600, reverse=True)), seed=0)[1]
    decisive = data.labels != 2
    losses = [
        log_loss(part[decisive], data.labels[decisive])
        for part in (taught.probabilities, alone, misled.probabilities)
    ]
    assert losses[0] < losses[1] < losses[2]
    tied = [part.probabilities[:, 2].mean() for part in (taught, misled)]
    assert tied == pytest.approx([(data.labels == 2).mean()] * 2, abs=0.05)


def test_hidden_ties_of_a_fold_are_told_without_its_labels() -> None:
    data = replace(pairings(120), extra=decisive_extra(60))
    before = fit_kernel_stacker(data, seed=0)[1].hidden_ties
    labels = np.where(data.folds == 0, (data.labels + 1) % 3, data.labels)
    after = fit_kernel_stacker(replace(data, labels=labels), seed=0)[1].hidden_ties
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])
