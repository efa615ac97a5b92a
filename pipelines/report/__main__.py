"""Explore the battles, audit biases, and report on a run: ``python -m pipelines.report``.

Writes one self-contained page, a PNG and a CSV for every figure, and the
bundle's model card.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featlab.battles import OUTCOMES
from featlab.battles.turns import TURN_SEPARATOR
from featlab.files import atomic_path
from featlab.progress import Advance, note, task
from models.analysis.model_card import model_card
from models.probabilities import row_log_loss
from models.stacking.bundle import MODEL_CARD
from pipelines.report import attribution, battles, bias, identity, quality, style, training
from pipelines.report.figure import Figure, LeftOut, figures_of
from pipelines.report.page import Example, Section, render_page
from pipelines.report.run_data import TEXTS, RunData, load_run
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.settings import ReportSettings

FIGURES = figures_of((battles, style, bias, quality, attribution, identity, training))
"""Every figure, in the order of the page."""

README_FIGURES = ("strengths", "outcomes_by_length_ratio", "style_effects", "biases", "losses")

EXAMPLES = 5

log = logging.getLogger(__name__)


def main(settings: ReportSettings) -> None:
    """Make every figure of the run, and the page of them."""
    run = RunFolder(settings.run)
    data = load_run(run, settings.trust)
    if settings.readme_figures is not None:
        write_readme_figures(data, settings.readme_figures)
        return
    folder = settings.out or run.report
    with task("report", len(FIGURES)) as advance:
        sections = make_sections(FIGURES, data, advance)
    drawn = [figure for section in sections for figure in section.figures]
    for figure in drawn:
        with atomic_path(folder / "figures" / f"{figure.name}.png") as path:
            path.write_bytes(figure.png)
        with atomic_path(folder / "figures" / f"{figure.name}.csv") as path:
            figure.plot.numbers.write_csv(path)
    shown = examples(data) if settings.examples else ()
    page = render_page(f"Report on {data.path.resolve().name}", facts(data), sections, shown)
    with atomic_path(folder / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    with atomic_path(run.bundle / MODEL_CARD) as path:
        path.write_text(model_card(data.training, data.metrics), encoding="utf-8")
    note(f"{len(drawn)} figures: {folder / 'index.html'}")


def write_readme_figures(data: RunData, folder: Path) -> None:
    """Write the pictures that the README shows; they hold statistics, no text of any battle."""
    for figure in (figure for figure in FIGURES if figure.name in README_FIGURES):
        with atomic_path(folder / f"{figure.name}.png") as path:
            path.write_bytes(figure.make(data).png)
    note(f"{len(README_FIGURES)} figures of {len(data.labels):,} battles: {folder}")


def make_sections(figures: Sequence[Figure], data: RunData, advance: Advance) -> list[Section]:
    """Draw the figures, section by section, in their order."""
    sections: dict[str, Section] = {}
    for done, figure in enumerate(figures):
        section = sections.setdefault(figure.section, Section(figure.section, [], []))
        try:
            section.figures.append(figure.make(data))
        except LeftOut as reason:
            section.left_out.append((figure.name, str(reason)))
            log.info("%s is left out: %s", figure.name, reason)
        advance(done + 1, figure.name)
    return list(sections.values())


def facts(data: RunData) -> list[tuple[str, str]]:
    """Return what the run was, in a few lines."""
    loss = data.metrics["ensemble"]["after_calibration"]["log_loss"]
    training = data.training
    return [
        ("battles", f"{training.battles:,} of {training.source}"),
        ("signals", ", ".join(training.signals)),
        ("folds", f"{training.folds}, grouped by prompt"),
        (
            "log loss",
            f"{loss['value']:.4f} out of fold (95 % {loss['low']:.4f} to {loss['high']:.4f})",
        ),
        ("versions", ", ".join(f"{name} {found}" for name, found in training.versions.items())),
    ]


def examples(data: RunData) -> list[tuple[str, list[Example]]]:
    """Return the battles predicted worst, and those predicted with most confidence."""
    scores = {
        "the battles predicted worst": row_log_loss(data.calibrated, data.labels),
        "the most confident predictions": data.calibrated.max(axis=1),
    }
    return [
        (heading, _examples(data, np.argsort(-score, kind="stable")[:EXAMPLES].tolist()))
        for heading, score in scores.items()
    ]


def _examples(data: RunData, rows: list[int]) -> list[Example]:
    return [
        Example(
            id=str(battle["id"]),
            model_a=battle.get("model_a") or "not named",
            model_b=battle.get("model_b") or "not named",
            outcome=OUTCOMES[battle["label"]],
            stated=tuple(data.calibrated[battle["row"], : 2 + data.table.ties].tolist()),
            **{name: TURN_SEPARATOR.join(battle[name]) for name in TEXTS},
        )
        for battle in data.texts_of(rows).iter_rows(named=True)
    ]


if __name__ == "__main__":
    run_command(main, ReportSettings, "python -m pipelines.report")
