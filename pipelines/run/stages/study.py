"""The picture of the search."""

from __future__ import annotations

from pathlib import Path

from featlab.files import read_json
from models.stacking.search import open_study
from pipelines.report.study import draw_study


def make_study_figure(*, found: Path, figure: Path, journal: Path) -> None:
    """Draw every trial of the search that `found` tells of.

    Parameters
    ----------
    found : Path
        What the search found.
    figure : Path
        PNG to write.
    journal : Path
        Optuna's journal.
    """
    draw_study(open_study(journal, read_json(found)["study"]), figure)
