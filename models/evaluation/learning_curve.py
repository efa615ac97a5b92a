"""The learning curve: how the held-out loss falls with the number of training battles.

For every held-out fold, nested subsets of the other folds' prompts train
everything anew: the signals that learn, then both members of the ensemble, trees
and kernel, with default parameters. The same held-out battles score every
subset, so the points differ by what was trained on and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.errors import ConfigError
from featlab.randomness import derive_seed
from featlab.signals.signal import Context, Signal
from models.evaluation.metrics import bootstrap_mean, resampled_means
from models.evaluation.power_law import FEWEST_SIZES, PowerLaws, fit_power_laws
from models.probabilities import Floats, Probabilities, Rows, row_log_loss
from models.stacking.blend import mean_of_members
from models.stacking.kernel import fit_symmetric_kernel
from models.stacking.out_of_fold import fit_folds, prepare
from models.stacking.table import Table, stacked_columns, stacked_frame
from models.stacking.trees import BoostingParameters, FoldTrainer, mean_over_orders

PREDICTOR = "mean of LightGBM and the symmetric kernel, default parameters, not calibrated"

NOTE = (
    "The loss beyond the largest measured n is an extrapolation: it assumes that the power law "
    "goes on. Intervals are over resampled prompts of the held-out battles; they leave out how "
    "the loss varies with the training battles drawn, of which draws show a part."
)

_BAND_SIZES = 60


@dataclass(frozen=True)
class PreparedSignal:
    """A signal that has to be fitted anew for every subset, and what it prepared of all battles.

    Parameters
    ----------
    kind : type of Signal
    context : Context
    prepared : object
        What the signal's `prepare` made.
    """

    kind: type[Signal[Any]]
    context: Context
    prepared: Any = field(repr=False)

    @classmethod
    def of(cls, kind: type[Signal[Any]], context: Context, battles: pl.LazyFrame) -> PreparedSignal:
        """Prepare a signal."""
        return cls(kind, context, prepare(kind.from_settings(context, 0), battles))


@dataclass(frozen=True)
class Subset:
    """One fit of the curve: what is held out, and how much of the rest trains."""

    held_out: int
    share: float
    draw: int


@dataclass(frozen=True)
class CurveLosses:
    """Held-out losses at every share.

    Parameters
    ----------
    shares : tuple of float
        Rising.
    counts : float64 array, shape (shares,)
        Training battles, the mean over folds and draws.
    rows : float64 array, shape (shares, n)
        The loss of every battle in nats, the mean over draws.
    draws : tuple of tuple of float
        For each share, the mean loss of each draw of subsets.
    """

    shares: tuple[float, ...]
    counts: Floats
    rows: Floats = field(repr=False)
    draws: tuple[tuple[float, ...], ...]


def planned_subsets(folds: Sequence[int], shares: Sequence[float], draws: int) -> list[Subset]:
    """Every fit that a curve needs, fold by fold, so that each fold takes as long as the next.

    A share is drawn as often as it fits into the whole, and `draws` times at
    most: small subsets vary most and cost least.

    Raises
    ------
    ConfigError
        For fewer than three shares, or one outside (0, 1].

    Examples
    --------
    >>> len(planned_subsets([0, 1], [0.25, 0.5, 1.0], draws=3))
    12
    """
    wanted = sorted(set(shares))
    if len(wanted) < FEWEST_SIZES or not all(0 < share <= 1 for share in wanted):
        raise ConfigError(
            f"shares are {', '.join(map(str, shares))}; name at least {FEWEST_SIZES} different "
            "ones above 0 and up to 1"
        )
    return [
        Subset(fold, share, draw)
        for fold in folds
        for share in wanted
        for draw in range(min(draws, int(1 / share)))
    ]


def subset_rows(groups: NDArray[Any], folds: Rows, subset: Subset, seed: int) -> Rows:
    """Training rows of a subset: whole groups, the same share of every fold but the held-out one.

    Of one draw and held-out fold, a smaller share's rows are all among a larger
    one's.

    Examples
    --------
    >>> groups, folds = np.arange(12), np.arange(12) % 3
    >>> rows = subset_rows(groups, folds, Subset(held_out=0, share=0.5, draw=0), seed=0)
    >>> np.bincount(folds[rows]).tolist()
    [0, 2, 2]
    """
    kept = []
    for fold in np.unique(folds[folds != subset.held_out]):
        rows = np.flatnonzero(folds == fold)
        _, group = np.unique(groups[rows], return_inverse=True)
        name = derive_seed(seed, "learning curve", subset.held_out, subset.draw, int(fold))
        order = np.random.default_rng(name).permutation(int(group.max()) + 1)
        sizes = np.bincount(group)[order]
        before = np.cumsum(sizes) - sizes
        # Rounded, since 0.07 of 100 is a little more than 7.
        chosen = order[before < round(subset.share * len(rows), 6)]
        kept.append(rows[np.isin(group, chosen)])
    return np.sort(np.concatenate(kept))


def predict_held_out(
    fixed: Table, signals: Sequence[PreparedSignal], rows: Rows, held_out: int, seed: int
) -> Probabilities:
    """Train everything on `rows`, and predict the held-out fold.

    Parameters
    ----------
    fixed : Table
        Columns that need no training.
    signals : sequence of PreparedSignal
        Those that do.
    rows : int64 array
        Training rows, none of them in the held-out fold.
    held_out : int
        The fold.
    seed : int
        Root seed of the members.

    Returns
    -------
    Float64 probabilities of the fold's battles, in their order.
    """
    scored = np.flatnonzero(fixed.folds == held_out)
    order = np.concatenate([rows, scored])
    frames, columns = [fixed.frame[order]], fixed.columns
    for signal in signals:
        kind, context, prepared = signal.kind, signal.context, signal.prepared
        inside, _ = fit_folds(kind, context, prepared, fixed.outcomes, fixed.folds, rows)
        whole = kind.from_settings(context, held_out).fit(prepared, fixed.outcomes, rows)
        made = pl.concat([inside, whole.transform(prepared, scored)])
        stacked = stacked_columns(whole.columns())
        frames.append(stacked_frame(made, stacked))
        columns = (*columns, *stacked)
    table = Table(
        pl.concat(frames, how="horizontal"), columns, fixed.outcomes.take(order), fixed.folds[order]
    )
    parameters = BoostingParameters()
    trainer = FoldTrainer(table, held_out, seed)
    rounds = max(trainer.fit_stopped(parameters).best_iteration, 1)
    trees = mean_over_orders(*trainer.predict_held_out(trainer.fit_all(parameters, rounds)))
    kernel = fit_symmetric_kernel(
        table, table.training_rows(held_out), derive_seed(seed, "landmarks", held_out)
    )
    return mean_of_members(trees, kernel.predict(table.frame[len(rows) :]))


def measure_curve(
    fixed: Table,
    signals: Sequence[PreparedSignal],
    subsets: Sequence[Subset],
    seed: int,
    on_subset: Callable[[int, Subset], None] | None = None,
) -> CurveLosses:
    """Train on every subset and score the battles that it holds out.

    Parameters
    ----------
    fixed, signals
        As `predict_held_out` takes them.
    subsets : sequence of Subset
        As `planned_subsets` lists them for all folds.
    seed : int
    on_subset : callable, optional
        Called with the number of completed subsets and the last of them.
    """
    labels = fixed.labels
    losses: dict[tuple[float, int], Floats] = {}
    counts: dict[float, list[int]] = {}
    for done, subset in enumerate(subsets, start=1):
        rows = subset_rows(fixed.groups, fixed.folds, subset, seed)
        scored = np.flatnonzero(fixed.folds == subset.held_out)
        predicted = predict_held_out(fixed, signals, rows, subset.held_out, seed)
        of_draw = losses.setdefault((subset.share, subset.draw), np.full(len(labels), np.nan))
        of_draw[scored] = row_log_loss(predicted, labels[scored])
        counts.setdefault(subset.share, []).append(len(rows))
        if on_subset is not None:
            on_subset(done, subset)
    shares = tuple(sorted(counts))
    by_share = [[rows for (share, _), rows in losses.items() if share == own] for own in shares]
    return CurveLosses(
        shares,
        np.array([np.mean(counts[share]) for share in shares]),
        np.stack([np.mean(draws, axis=0) for draws in by_share]),
        tuple(tuple(float(draw.mean()) for draw in draws) for draws in by_share),
    )


def describe_curve(
    losses: CurveLosses, groups: NDArray[Any], seed: int, extrapolated_n: int
) -> dict[str, Any]:
    """Return the points with their intervals, and the power law through them, ready for JSON.

    Parameters
    ----------
    losses : CurveLosses
    groups : array, shape (n,)
        Battles of one prompt are resampled together.
    seed : int
    extrapolated_n : int
        Training battles at which the power law is read.

    Returns
    -------
    dict with ``points`` (share, n, log_loss, low, high, draws) and
    ``power_law``: asymptote, scale and exponent, the first and last with
    bounds; the loss at ``extrapolated_n`` with bounds; ``at_bound``, whether a
    bound and not the points set a parameter, which leaves the asymptote
    unknown; ``at_bounds``, the share of resamples in which one did; ``band``,
    the law with its interval at rising sizes.
    """
    points = []
    for share, count, rows, draws in zip(
        losses.shares, losses.counts, losses.rows, losses.draws, strict=True
    ):
        estimate = asdict(bootstrap_mean(rows, groups, seed))
        estimate = {"log_loss": estimate.pop("value"), **estimate}
        points.append({"share": share, "n": round(count), **estimate, "draws": list(draws)})
    means = resampled_means(losses.rows, groups, seed)
    variances = means.var(axis=0)
    fitted = fit_power_laws(losses.counts, losses.rows.mean(axis=1)[None], variances)
    resampled = fit_power_laws(losses.counts, means, variances)
    sizes = np.geomspace(losses.counts[0], max(extrapolated_n, losses.counts[-1]), _BAND_SIZES)
    extrapolated = _with_bounds(fitted, resampled, np.array([float(extrapolated_n)]))[0]
    return {
        "points": points,
        "power_law": {
            "formula": "log_loss = asymptote + scale * n ** -exponent",
            "asymptote": float(fitted.asymptote[0]),
            **_bounds("asymptote", resampled.asymptote),
            "scale": float(fitted.scale[0]),
            "exponent": float(fitted.exponent[0]),
            **_bounds("exponent", resampled.exponent),
            "at_bound": bool(fitted.at_bounds[0]),
            "at_bounds": float(resampled.at_bounds.mean()),
            "largest_measured_n": round(losses.counts[-1]),
            "extrapolated_n": extrapolated_n,
            "extrapolated": extrapolated["log_loss"],
            "low": extrapolated["low"],
            "high": extrapolated["high"],
            "band": _with_bounds(fitted, resampled, sizes),
            "note": NOTE,
        },
    }


def _bounds(name: str, values: Floats) -> dict[str, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}


def _with_bounds(fitted: PowerLaws, resampled: PowerLaws, sizes: Floats) -> list[dict[str, float]]:
    low, high = np.quantile(resampled.at(sizes), [0.025, 0.975], axis=0)
    columns = {"n": sizes, "log_loss": fitted.at(sizes)[0], "low": low, "high": high}
    return pl.DataFrame(columns).to_dicts()
