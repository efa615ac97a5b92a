"""What learns the outcome of a battle from its signals, and how well it does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from featlab.threads import wait_passively

if TYPE_CHECKING:
    from models.loaded import LoadedPredictor

# Before any module of this package loads LightGBM or torch.
wait_passively()


def load(
    path: str | Path,
    trust: str | Collection[str] = (),
    given: Mapping[str, str | Path] | None = None,
) -> LoadedPredictor:
    """Return the predictor of a run or of a bundle, ready to predict.

    Parameters
    ----------
    path : str or Path
        A run folder, or the bundle in it.
    trust : str or collection of str
        Modules, and files of features, outside this project that may run.
    given : mapping of str to str or Path, optional
        Other model -> the file of its probabilities of the battles to predict;
        battles that are not in it count as those it says nothing of.

    Raises
    ------
    BundleError
        When there is no bundle, or it is damaged.
    ConfigError
        When a signal's module is not trusted.
    """
    from models.loaded import load as load_predictor

    files = {name: Path(file) for name, file in (given or {}).items()}
    trusted = (trust,) if isinstance(trust, str) else tuple(map(str, trust or ()))
    return load_predictor(Path(path), trusted, files)
