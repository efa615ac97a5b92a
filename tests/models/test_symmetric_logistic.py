"""The linear half: symmetric to the last bit, out of fold, and blind to what it holds out."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from featlab.parity import Parity, swap
from models.metrics import log_loss, prior
from models.stacker import StackingData
from models.symmetric_logistic import (
    LARGEST,
    PENALTIES,
    LinearStacker,
    ScaledColumns,
    fit_linear_stacker,
    fit_symmetric_logistic,
)
from tests.models.conftest import make_data


def linear_data(count: int = 400, seed: int = 0) -> StackingData:
    """Pairings only: the linear half reads no column of one side."""
    data = make_data(count, seed)
    names = ["x__difference", "x__sum"]
    return replace(
        data,
        frame=data.frame.select(names),
        parity={name: data.parity[name] for name in names},
    )


def test_exchanged_sides_give_exactly_exchanged_probabilities() -> None:
    data = linear_data()
    stacker, _ = fit_linear_stacker(data)
    exchanged = stacker.predict(swap(data.frame, data.parity))
    assert np.array_equal(exchanged[:, [1, 0, 2]], stacker.predict(data.frame))


def test_probabilities_sum_to_one_and_beat_the_prior() -> None:
    data = linear_data()
    _, predicted = fit_linear_stacker(data)
    assert np.allclose(predicted.sum(1), 1)
    shares = np.tile(prior(data.labels), (len(data.labels), 1))
    assert log_loss(predicted, data.labels) < log_loss(shares, data.labels) - 0.1


def test_labels_of_the_held_out_fold_change_nothing_about_its_prediction() -> None:
    data = linear_data()
    _, before = fit_linear_stacker(data)
    labels = np.where(data.folds == 0, (data.labels + 1) % 3, data.labels)
    _, after = fit_linear_stacker(replace(data, labels=labels))
    assert np.array_equal(before[data.folds == 0], after[data.folds == 0])
    assert not np.array_equal(before[data.folds != 0], after[data.folds != 0])


def test_a_prediction_depends_on_its_own_row_alone() -> None:
    data = linear_data()
    stacker, _ = fit_linear_stacker(data)
    together = stacker.predict(data.frame)
    assert np.array_equal(together[7:8], stacker.predict(data.frame[7:8]))


def test_missing_values_lie_at_the_centre_and_huge_ones_are_clipped() -> None:
    frame = pl.DataFrame({"x": [1.0, 3.0, None, float("nan")]})
    columns = ScaledColumns.of(frame, ["x"], odd=False)
    assert columns.scale(pl.DataFrame({"x": [None, 1e30]}, {"x": pl.Float64})).ravel().tolist() == [
        0.0,
        LARGEST,
    ]


def test_a_column_without_spread_does_no_harm() -> None:
    data = linear_data()
    frame = data.frame.with_columns(pl.lit(0.0).alias("constant"))
    widened = replace(data, frame=frame, parity={**data.parity, "constant": Parity.ODD})
    assert np.allclose(fit_linear_stacker(widened)[1], fit_linear_stacker(data)[1], atol=1e-6)


def test_penalties_come_from_the_list_and_noise_takes_a_strong_one() -> None:
    data = linear_data()
    noise = np.random.default_rng(3).normal(size=(len(data.labels), 40))
    frame = pl.DataFrame({f"n{column}": noise[:, column] for column in range(40)})
    blind = replace(data, frame=frame, parity=dict.fromkeys(frame.columns, Parity.ODD))
    rows = np.arange(len(data.labels))
    telling = fit_symmetric_logistic(data, rows).penalties
    assert set(telling) <= set(PENALTIES)
    assert fit_symmetric_logistic(blind, rows).penalties[0] > telling[0]


def test_without_ties_and_without_even_columns_the_base_rate_stands() -> None:
    data = linear_data()
    labels = np.where(data.labels == 2, 0, data.labels)
    odd = replace(
        data,
        frame=data.frame.select("x__difference"),
        parity={"x__difference": Parity.ODD},
        labels=labels,
    )
    _, predicted = fit_linear_stacker(odd)
    assert np.allclose(predicted[:, 2], 0.5 / (0.5 + (odd.folds != 0).sum() + 0.5), rtol=0.1)
    assert predicted[:, 0].std() > 0.05


def test_the_stacker_is_the_mean_of_its_models() -> None:
    data = linear_data()
    stacker, _ = fit_linear_stacker(data)
    each = [LinearStacker([model]).predict(data.frame) for model in stacker.models]
    assert stacker.predict(data.frame) == pytest.approx(np.mean(each, axis=0))
