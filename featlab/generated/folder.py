"""Write generated battles as a competition folder, with the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from featlab.battles import PROBABILITIES
from featlab.errors import ConfigError
from featlab.files import atomic_path
from featlab.generated.battles import GeneratedBattles, Quirks, generate_battles
from featlab.generated.choice import ChoiceModel


@dataclass(frozen=True, eq=False)
class WrittenBattles:
    """What `write_battles` generated: the same battles as stand in the folder.

    Parameters
    ----------
    train, test : GeneratedBattles
        The test part keeps names and outcomes here; its file has neither.
    """

    train: GeneratedBattles
    test: GeneratedBattles


def write_battles(
    folder: Path,
    train_count: int,
    test_count: int,
    seed: int,
    *,
    choice: ChoiceModel | None = None,
    quirks: Quirks | None = None,
) -> WrittenBattles:
    """Write ``train.csv``, ``test.csv`` and the truth of both into a folder.

    The test battles are by the same personas as the training battles and come
    after them, so one popular prompt may stand in both, as in the competition.

    ============================  ====================================================
    file                          columns
    ============================  ====================================================
    ``train.csv``                 the competition's, line ends CR LF
    ``test.csv``                  id, prompt, response_a, response_b
    ``train_truth.parquet``,      id, the three true probabilities, and ``label``
    ``test_truth.parquet``        (Int8: 0 a won, 1 b won, 2 tie) as it was drawn
    ============================  ====================================================

    Parameters
    ----------
    folder : Path
        Made where it does not exist. Each file is written whole or not at all.
    train_count, test_count : int
        Number of battles, each at least 1.
    seed, choice, quirks
        As for `featlab.generated.generate_battles`.

    Raises
    ------
    ConfigError
        When a count is below 1.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     written = write_battles(Path(name), 30, 10, seed=7)
    ...     pl.read_csv(Path(name) / "test.csv").columns
    ['id', 'prompt', 'response_a', 'response_b']
    """
    if min(train_count, test_count) < 1:
        raise ConfigError(
            f"cannot write {train_count} training and {test_count} test battles; "
            "ask for at least 1 of each"
        )
    both = generate_battles(train_count + test_count, seed, choice=choice, quirks=quirks)
    written = WrittenBattles(
        train=_part(both, 0, train_count), test=_part(both, train_count, test_count)
    )
    _write_csv(written.train.train, folder / "train.csv")
    _write_csv(
        written.test.train.select("id", "prompt", "response_a", "response_b"), folder / "test.csv"
    )
    _write_truth(written.train, folder / "train_truth.parquet")
    _write_truth(written.test, folder / "test_truth.parquet")
    return written


def _part(both: GeneratedBattles, start: int, count: int) -> GeneratedBattles:
    return GeneratedBattles(
        both.train.slice(start, count),
        both.truth.slice(start, count),
        both.strengths,
        both.choice,
    )


def _write_csv(frame: pl.DataFrame, target: Path) -> None:
    with atomic_path(target) as path:
        frame.write_csv(path, line_terminator="\r\n")


def _write_truth(battles: GeneratedBattles, target: Path) -> None:
    outcomes = battles.train.select(PROBABILITIES).to_numpy()
    label = pl.Series("label", outcomes.argmax(axis=1), dtype=pl.Int8)
    with atomic_path(target) as path:
        battles.truth.with_columns(label).write_parquet(path)
