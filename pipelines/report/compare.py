"""The figure of this run beside another one of the same battles: ``--against``."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from models.analysis.predictions import loss_by_slice
from models.probabilities import row_log_loss
from pipelines.report import charts
from pipelines.report.figure import Need, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.slices import slices_of
from pipelines.report.words import errors_from, loss_text, whole

OTHER = Need(
    lambda data: data.against is not None,
    "no other run was named to compare with; --against RUN does",
)
ALL = "all battles"
GAIN = ("gain", "gain_low", "gain_high")


@figure("Against the other run", OTHER)
def against(data: RunData) -> Plot:
    """Show both runs' losses, and their paired difference in every slice."""
    assert data.against is not None
    other, stated = data.against
    everything = {ALL: pl.Series([ALL] * len(data.labels))}
    own, others = (row_log_loss(given, data.labels) for given in (data.calibrated, stated))
    frame = loss_by_slice(everything | slices_of(data), own, others, data.groups)
    row, clear = frame.row(0, named=True), frame[1:].filter(pl.col("gain_low") > 0)
    worse = frame[1:].filter(pl.col("gain_high") < 0)
    verdict = "not clearly better or worse than"
    if row["gain_low"] > 0 or row["gain_high"] < 0:
        verdict = "better than" if row["gain"] > 0 else "worse than"

    def draw(axes: Axes) -> None:
        charts.dots(axes, frame, "slice", GAIN, reference=0, along="gain on the other run (nats)")

    return Plot(
        frame,
        f"This run is {verdict} {other}: log loss {row['log_loss']:.4f} beside "
        f"{row['reference']:.4f}, a gain of "
        f"{loss_text(row, 'gain', '+.4f')}",
        f"Log loss of {other} less that of {data.path.resolve().name}, out of fold, nats, paired "
        f"battle by battle, n = {whole(row['battles'])}; right of 0, this run is better: clearly "
        f"in {len(clear)} of {len(frame) - 1} slices, and clearly worse in {len(worse)}; one in "
        "twenty would be by chance alone. Bars: 95 % over prompts." + charts.folded(len(frame)),
        draw,
        charts.rows_height(len(frame), 0.25),
        telling=errors_from(0.0, row, "gain"),
    )
