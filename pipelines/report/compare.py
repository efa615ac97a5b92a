"""Figures of this run beside another one of the same battles: ``--against``."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from models.analysis.predictions import loss_by_slice
from models.evaluation.intervals import mean
from models.evaluation.metrics import evaluate
from models.probabilities import row_log_loss
from pipelines.report import charts
from pipelines.report.figure import Need, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.slices import slices_of
from pipelines.report.words import errors_from, whole

SECTION = "Against the other run"

OTHER = Need(
    lambda data: data.against is not None,
    "no other run was named to compare with; --against RUN does",
)
GAIN = ("gain", "gain_low", "gain_high")


@figure(SECTION, OTHER)
def against(data: RunData) -> Plot:
    """Show both runs' scores and the paired difference."""
    assert data.against is not None
    other, stated = data.against
    runs = {f"this run, {data.path.name}": data.calibrated, f"other run, {other}": stated}
    losses = {name: row_log_loss(given, data.labels) for name, given in runs.items()}
    own, others = losses.values()
    found = mean(others - own, data.groups)
    rows = []
    for name, given in runs.items():
        scores = evaluate(given, data.labels, data.groups, data.training.seed)
        loss, accuracy = scores["log_loss"], scores["accuracy"]["value"]
        error = scores["expected_calibration_error"]
        rows.append((name, loss["value"], loss["low"], loss["high"], accuracy, error))
    names = ["run", *charts.LOSS, "accuracy", "calibration_error"]
    frame = pl.DataFrame(rows, names, orient="row").with_columns(
        battles=len(data.labels), gain=found.value, gain_low=found.low, gain_high=found.high
    )
    row = {"gain": found.value, "low": found.low, "high": found.high}
    verdict = "better" if found.low > 0 else "worse" if found.high < 0 else "not clearly other"
    return Plot(
        frame,
        f"{data.path.name} is {verdict} than {other}: its log loss is lower by "
        f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})",
        f"n = {whole(len(data.labels))} battles, the same of both, out of fold, nats. The "
        "difference is paired, battle by battle. Intervals: 95 % over prompts.",
        lambda axes: charts.dots(axes, frame, "run", charts.LOSS, along="log loss (nats)"),
        charts.rows_height(2, 0.3),
        telling=errors_from(0.0, row, "gain"),
    )


@figure(SECTION, OTHER)
def against_by_slice(data: RunData) -> Plot:
    """Show for which battles this run is better than the other."""
    assert data.against is not None
    other, stated = data.against
    losses = (row_log_loss(given, data.labels) for given in (data.calibrated, stated))
    frame = loss_by_slice(slices_of(data), *losses, data.groups).sort("gain", descending=True)
    clear = frame.filter((pl.col("gain_low") > 0) | (pl.col("gain_high") < 0))

    def draw(axes: Axes) -> None:
        charts.dots(axes, frame, "slice", GAIN, reference=0, along="gain on the other run (nats)")

    return Plot(
        frame,
        f"The runs differ in {len(clear)} of {len(frame)} kinds of battles by more than noise",
        f"Log loss of {other} less that of {data.path.name}, paired, n = "
        f"{whole(len(data.labels))} battles; right of 0, this run is better. Bars: 95 % over "
        f"prompts, one slice at a time: about {max(1, round(len(frame) / 20))} would miss 0 by "
        "chance alone." + charts.folded(len(frame)),
        draw,
        charts.rows_height(len(frame), 0.25),
    )
