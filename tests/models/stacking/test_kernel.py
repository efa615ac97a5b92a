"""The kernel against a textbook's, its scales, its penalties, and extra battles."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.linalg import solve

import models.stacking.kernel
from featlab.columns import Column, Kind
from featlab.parity import Parity
from featlab.signals.state import load_state, save_state
from models.probabilities import log_loss, out_of_fold_prior
from models.stacking.coordinates import VECTOR_SHARE, Coordinates
from models.stacking.kernel import PENALTIES, Kernel, fit_kernel, fit_symmetric_kernel
from models.stacking.scaled_columns import LARGEST, ScaledColumns
from models.stacking.table import Table
from tests.models.conftest import make_data, make_outcomes, other_in_fold, relabelled, widened


def with_vector(data: Table, dimension: int = 5, scale: float = 1.0) -> Table:
    vector = np.random.default_rng(4).normal(size=(len(data.labels), dimension)) * scale
    return widened(data, {f"v__{axis}": vector[:, axis] for axis in range(dimension)}, Kind.VECTOR)


def losses(*tables: Table) -> list[float]:
    return [log_loss(fit_kernel(table, 0)[1].probabilities, table.labels) for table in tables]


def test_with_all_battles_as_landmarks_it_is_the_plain_kernel_regression() -> None:
    """Against Newton's method on the full kernel, as a textbook writes it."""
    other = np.random.default_rng(1).normal(size=(2, 150))
    data = widened(make_data(150), {"y": other[0], "y_too": other[1]})
    model = fit_symmetric_kernel(data, np.arange(150), seed=0)
    decisive = np.flatnonzero(data.labels != 2)
    targets = (data.labels[decisive] == 0).astype(float)
    odd, even = model.coordinates.place(model.coordinates.read(data.frame))

    families = {column.name: column.family for column in data.columns}
    coordinates = model.coordinates
    of_odd, of_even = (
        np.array([families[name] for name in part.names])
        for part in (coordinates.odd, coordinates.even)
    )

    def near(sign: float) -> np.ndarray:
        def gaussian(odd: np.ndarray, even: np.ndarray) -> np.ndarray:
            points, others = np.hstack([odd, even]), np.hstack([sign * odd, even])
            return np.exp(-((points[:, None] - others[None]) ** 2).sum(axis=2))

        of_family = []
        for family in sorted(set(families.values())):
            chosen, too = of_odd == family, of_even == family
            stretch = np.sqrt((odd.shape[1] + even.shape[1]) / (chosen.sum() + too.sum()))
            of_family.append(gaussian(odd[:, chosen] * stretch, even[:, too] * stretch))
        return (gaussian(odd, even) + np.mean(of_family, axis=0)) / 2

    kernel = ((near(1.0) - near(-1.0)) / 2)[np.ix_(decisive, decisive)] / model.penalties[0]
    logits = np.zeros(len(decisive))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-logits))
        curvature = chance * (1 - chance)
        working = logits + (targets - chance) / curvature
        logits = kernel @ solve(kernel + np.diag(1 / curvature), working)
    found = model.predict(data.frame)[decisive]
    assert np.log(found[:, 0] / found[:, 1]) == pytest.approx(logits, abs=0.01)


def test_what_is_saved_predicts_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = with_vector(make_data())
    kernel, _ = fit_kernel(data, 0)
    folder = tmp_path_factory.mktemp("kernel")
    save_state(kernel.state(), folder, "kernel")
    loaded = Kernel.from_state(load_state(folder, "kernel"))
    assert np.array_equal(loaded.predict(data.frame), kernel.predict(data.frame))


def test_many_battles_on_a_line_do_no_harm() -> None:
    """Landmarks nearly on top of each other: their kernel has hardly any rank."""
    data = make_data(1500)
    frame = data.frame.with_columns(pl.col("x__difference").round(3), pl.lit(0.0).alias("x__sum"))
    guess = log_loss(out_of_fold_prior(data.labels, data.folds), data.labels)
    assert losses(replace(data, frame=frame))[0] < guess - 0.03


def test_few_landmarks_predict_about_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_vector(make_data(400))
    whole = losses(data)
    monkeypatch.setattr(models.stacking.kernel, "LANDMARKS", 120)
    assert all(len(model.margin) == 120 for model in fit_kernel(data, 0)[0].models)
    assert losses(data) == pytest.approx(whole, abs=0.02)


def test_a_column_without_spread_does_no_harm(data: Table) -> None:
    plain, constant = losses(data, widened(data, {"constant": np.zeros(len(data.labels))}))
    assert constant == pytest.approx(plain, abs=0.02)


def test_missing_values_lie_at_the_centre_and_huge_ones_are_clipped() -> None:
    columns = ScaledColumns.of(
        pl.DataFrame({"x": [1.0, 3.0, None, float("nan")]}), ["x"], odd=False
    )
    scaled = columns.scale(columns.read(pl.DataFrame({"x": [None, 1e30]}, {"x": pl.Float64})))
    assert scaled.ravel().tolist() == [0.0, LARGEST]


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_a_vector_lies_as_far_off_as_its_share_says_whatever_its_unit(
    data: Table, unit: float
) -> None:
    wide = with_vector(data, scale=unit)
    coordinates = Coordinates.of(wide.frame, wide.columns)
    odd, _ = coordinates.place(coordinates.read(wide.frame))
    apart = 2 * (odd[:, 1:] ** 2).sum(axis=1).mean()
    assert apart == pytest.approx(VECTOR_SHARE)


def test_penalties_come_from_the_list_and_noise_takes_a_strong_one() -> None:
    data = make_data(400)
    noise = np.random.default_rng(3).normal(size=(400, 40))
    names = [f"n{number}" for number in range(40)]
    blind = replace(
        data,
        frame=pl.DataFrame(noise, schema=names),
        columns=tuple(Column(name, Parity.ODD, "n", "noise") for name in names),
    )
    telling, deaf = (
        fit_symmetric_kernel(table, np.arange(400), seed=0).penalties for table in (data, blind)
    )
    assert set(telling) <= set(PENALTIES)
    assert deaf[0] > telling[0]


def test_without_ties_there_are_two_outcomes() -> None:
    data = make_data(400)
    untied = relabelled(data, np.where(data.labels == 2, 0, data.labels))
    kernel, found = fit_kernel(untied, 0)
    predicted = found.probabilities
    assert not predicted[:, 2].any()
    assert np.allclose(predicted.sum(axis=1), 1)
    again = Kernel.from_state(kernel.state())
    assert np.array_equal(again.predict(untied.frame), kernel.predict(untied.frame))
    assert predicted[:, 0].std() > 0.05


def test_the_kernel_is_the_mean_of_its_models(data: Table) -> None:
    kernel, _ = fit_kernel(data, 0)
    each = [model.predict(data.frame) for model in kernel.models]
    assert kernel.predict(data.frame) == pytest.approx(np.mean(each, axis=0))


def with_decisive(data: Table, count: int, *, reverse: bool = False) -> Table:
    more = make_data(count, seed=8)
    kept = np.flatnonzero(more.labels != 2)
    labels = 1 - more.labels[kept] if reverse else more.labels[kept]
    outcomes = make_outcomes(labels, tie_known=[False] * len(kept))
    return replace(data, extra=Table(more.frame[kept], more.columns, outcomes, more.folds[kept]))


def test_extra_battles_teach_who_wins_and_those_without_ties_nothing_about_ties() -> None:
    data = make_data(90)
    decisive = data.labels != 2
    taught, alone, misled = (
        fit_kernel(table, 0)[1].probabilities
        for table in (with_decisive(data, 600), data, with_decisive(data, 600, reverse=True))
    )
    found = [log_loss(part[decisive], data.labels[decisive]) for part in (taught, alone, misled)]
    assert found[0] < found[1] < found[2]
    tied = [part[:, 2].mean() for part in (taught, misled)]
    assert tied == pytest.approx([(data.labels == 2).mean()] * 2, abs=0.05)


def test_hidden_ties_of_a_fold_are_told_without_its_outcomes() -> None:
    data = with_decisive(make_data(120), 60)
    before, after = (
        fit_kernel(table, 0)[1].hidden_ties for table in (data, other_in_fold(data, 0))
    )
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_models_of_different_columns_are_no_kernel(data: Table) -> None:
    model = fit_symmetric_kernel(data, np.arange(150), seed=0)
    fewer = data.select(lambda column: column is not data.columns[0])
    other = fit_symmetric_kernel(fewer, np.arange(150), seed=0)
    with pytest.raises(ValueError, match="different columns"):
        Kernel((model, other))
