"""A power law of loss by training size, and what resampling says of its parameters.

``loss(n) = asymptote + scale * n ** -exponent`` is what learning curves of
many models follow over the sizes at which they were measured (Hestness et al.,
"Deep Learning Scaling is Predictable, Empirically", 2017). Beyond those sizes
it is an assumption. A few points tell the three parameters apart badly: a high
asymptote with a steep exponent and a low one with a flat exponent fit alike,
which is why every figure here comes with an interval over resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlab.errors import ConfigError
from models.probabilities import Floats

EXPONENTS: Floats = np.linspace(0.05, 1.5, 291)
"""The exponents to choose from."""

FEWEST_SIZES = 3


@dataclass(frozen=True)
class PowerLaws:
    """One power law, or one for each resample.

    Parameters
    ----------
    asymptote : float64 array, shape (laws,)
        Loss in nats with unlimited battles, at least 0.
    scale : float64 array, shape (laws,)
        At least 0; 0 where the loss does not fall.
    exponent : float64 array, shape (laws,)
        One of `EXPONENTS`; it means nothing where `scale` is 0.
    """

    asymptote: Floats
    scale: Floats
    exponent: Floats

    def at(self, counts: Floats) -> Floats:
        """Return the loss at some training sizes, shape (laws, sizes)."""
        powers = counts ** -self.exponent[:, None]
        losses: Floats = self.asymptote[:, None] + self.scale[:, None] * powers
        return losses

    @property
    def at_bounds(self) -> NDArray[np.bool_]:
        """Where a bound and not the points set a parameter, shape (laws,)."""
        steepest, flattest = self.exponent >= EXPONENTS[-1], self.exponent <= EXPONENTS[0]
        bounded: NDArray[np.bool_] = steepest | flattest | (self.asymptote == 0) | (self.scale == 0)
        return bounded


def fit_power_laws(counts: Floats, losses: Floats, variances: Floats) -> PowerLaws:
    """Least squares, weighted by the inverse variances, with every parameter bounded.

    For a given exponent the other two are linear and solved exactly (variable
    projection: Golub and Pereyra, 1973), so that a grid of exponents finds the
    best fit where a descent from one start may not.

    Parameters
    ----------
    counts : float64 array, shape (sizes,)
        Training battles, at least three different numbers.
    losses : float64 array, shape (laws, sizes)
        Positive.
    variances : float64 array, shape (sizes,)
        Of the losses, positive.

    Raises
    ------
    ConfigError
        For fewer than three sizes: three parameters need as many.

    Examples
    --------
    >>> counts = np.array([100.0, 400.0, 1600.0, 6400.0])
    >>> fitted = fit_power_laws(counts, (0.9 + 2 / np.sqrt(counts))[None], np.ones(4))
    >>> [round(float(part[0]), 3) for part in (fitted.asymptote, fitted.scale, fitted.exponent)]
    [0.9, 2.0, 0.5]
    """
    if len(np.unique(counts)) < FEWEST_SIZES:
        raise ConfigError(
            f"a power law needs {FEWEST_SIZES} different training sizes, there are "
            f"{len(np.unique(counts))}; name more shares, or use more battles"
        )
    # Sizes relative to the largest, which keeps the sums of one magnitude.
    powers = (counts / counts.max())[None] ** -EXPONENTS[:, None]
    weights = 1 / variances
    total = weights.sum()
    first, second = powers @ weights, powers**2 @ weights
    mean, product = losses @ weights, (losses * weights) @ powers.T
    determinant = total * second - first**2
    asymptote = (second * mean[:, None] - first * product) / determinant
    scale = (total * product - first * mean[:, None]) / determinant
    # Losses are positive, so at most one of the two is below 0: the best is then on its bound.
    flat, bottomless = scale < 0, asymptote < 0
    scale = np.where(flat, 0.0, np.where(bottomless, product / second, scale))
    asymptote = np.where(bottomless, 0.0, np.where(flat, (mean / total)[:, None], asymptote))
    fitted = asymptote[:, :, None] + scale[:, :, None] * powers
    errors = ((losses[:, None, :] - fitted) ** 2) @ weights
    best = errors.argmin(axis=1)
    laws = np.arange(len(losses))
    exponent = EXPONENTS[best]
    return PowerLaws(asymptote[laws, best], scale[laws, best] * counts.max() ** exponent, exponent)
