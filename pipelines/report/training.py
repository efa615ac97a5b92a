"""The figure of the search."""

from __future__ import annotations

from pipelines.report.figure import LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.study import plot_study, study_words

SECTION = "Training"


@figure(SECTION)
def study(data: RunData) -> Plot:
    """Show the loss of every trial."""
    frame = data.trials
    if frame is None:
        raise LeftOut("there is no study.journal in the run folder; train again")
    return Plot(frame, *study_words(frame), lambda axes: plot_study(axes, frame))
