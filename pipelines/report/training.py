"""Figures of the training: its search, its time and memory."""

from __future__ import annotations

from matplotlib.axes import Axes

from pipelines.report import charts
from pipelines.report.figure import LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.study import plot_study, study_words
from pipelines.report.words import whole

SECTION = "Training"


@figure(SECTION)
def study(data: RunData) -> Plot:
    """Show the loss of every trial."""
    frame = data.trials
    if frame is None:
        raise LeftOut("there is no study.journal in the run folder; train again")
    return Plot(frame, *study_words(frame), lambda axes: plot_study(axes, frame))


@figure(SECTION)
def stages(data: RunData) -> Plot:
    """Show what each stage cost."""
    frame = data.stages
    longest = frame.sort("seconds", descending=True).row(0, named=True)

    def draw(axes: Axes) -> None:
        texts = [
            f"{row['seconds']:,.0f} s"
            + (f", {row['peak_memory_mb']:,.0f} MB" if row["peak_memory_mb"] else "")
            for row in frame.to_dicts()
        ]
        values = frame["seconds"].to_list()
        charts.bars(axes, frame["stage"].to_list(), values, texts, "seconds", values)
        axes.margins(x=0.4)

    return Plot(
        frame,
        f"Training took {frame['seconds'].sum():,.0f} s, {longest['seconds']:,.0f} of them for "
        f"{longest['stage']}, with at most {whole(frame['peak_memory_mb'].max() or 0)} MB",
        f"n = {len(frame)} stages, each timed once, when it was last made: one measurement, no "
        "interval. Memory is the process's peak up to the end of the stage.",
        draw,
        charts.rows_height(len(frame)),
    )
