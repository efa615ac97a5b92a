"""The power law: finds a known curve, keeps its bounds, and says where it is not identified."""

import numpy as np
import pytest

from featlab.errors import ConfigError
from models.evaluation.power_law import EXPONENTS, PowerLaws, fit_power_laws

COUNTS = np.array([200.0, 400.0, 800.0, 1120.0, 1600.0])


def only(values: np.ndarray) -> float:
    assert values.shape == (1,)
    return float(values[0])


@pytest.mark.parametrize(
    ("asymptote", "scale", "exponent"), [(0.95, 1.5, 0.5), (0.0, 1.2, 0.05), (1.0, 400.0, 1.5)]
)
def test_a_known_curve_is_found_again(asymptote: float, scale: float, exponent: float) -> None:
    losses = asymptote + scale * COUNTS**-exponent
    law = fit_power_laws(COUNTS, losses[None], np.ones(5))
    assert only(law.asymptote) == pytest.approx(asymptote, abs=1e-6)
    assert only(law.scale) == pytest.approx(scale, rel=1e-6)
    assert only(law.exponent) == pytest.approx(exponent)
    expected = asymptote + scale * 57_477.0**-exponent
    assert only(law.at(np.array([57_477.0]))[0]) == pytest.approx(expected, abs=1e-6)


def test_every_law_is_fitted_by_itself_and_within_its_bounds() -> None:
    generator = np.random.default_rng(0)
    losses = 1.05 + generator.normal(0, 0.02, (200, 5))
    laws = fit_power_laws(COUNTS, losses, np.ones(5))
    assert (laws.asymptote >= 0).all()
    assert (laws.scale >= 0).all()
    assert np.isin(laws.exponent, EXPONENTS).all()
    alone = fit_power_laws(COUNTS, losses[7:8], np.ones(5))
    assert only(alone.asymptote) == pytest.approx(laws.asymptote[7])
    assert only(alone.exponent) == pytest.approx(laws.exponent[7])


def test_no_better_law_lies_nearby() -> None:
    losses = np.array([[1.080, 1.071, 1.052, 1.049, 1.035]])
    variances = np.array([4.0, 2.0, 1.0, 1.0, 1.0])
    law = fit_power_laws(COUNTS, losses, variances)
    assert not law.at_bounds.any() or law.exponent[0] in EXPONENTS[[0, -1]]
    least = ((losses - law.at(COUNTS)) ** 2 / variances).sum()
    for change in (-0.01, 0.01):
        for name in ("asymptote", "scale"):
            moved = {part: getattr(law, part) for part in ("asymptote", "scale", "exponent")}
            moved[name] = moved[name] * (1 + change)
            assert ((losses - PowerLaws(**moved).at(COUNTS)) ** 2 / variances).sum() > least


def test_a_point_of_little_weight_moves_the_law_little() -> None:
    losses = 0.9 + 2 * COUNTS**-0.5
    losses[0] += 0.3
    trusted = fit_power_laws(COUNTS, losses[None], np.ones(5))
    doubted = fit_power_laws(COUNTS, losses[None], np.array([1e6, 1, 1, 1, 1]))
    assert abs(only(doubted.exponent) - 0.5) < 0.02 < abs(only(trusted.exponent) - 0.5)


def test_a_rising_loss_is_called_flat_and_at_a_bound() -> None:
    losses = np.array([[1.0, 1.01, 1.02, 1.03, 1.04]])
    law = fit_power_laws(COUNTS, losses, np.ones(5))
    assert only(law.scale) == 0
    assert only(law.asymptote) == pytest.approx(1.02)
    assert law.at_bounds.all()


def test_two_sizes_are_too_few() -> None:
    with pytest.raises(ConfigError, match="3 different training sizes, there are 2"):
        fit_power_laws(np.array([10.0, 20.0, 20.0]), np.ones((1, 3)), np.ones(3))
