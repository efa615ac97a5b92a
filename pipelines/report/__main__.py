"""Explore the battles, audit biases, and report on a run: ``python -m pipelines.report``.

Writes one self-contained page, a PNG and a CSV for every figure, and the
bundle's model card.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from featlab.battles import OUTCOMES
from featlab.battles.turns import TURN_SEPARATOR
from featlab.files import atomic_path, check_output, without_formulas
from featlab.progress import Advance, note, task
from models.analysis.model_card import model_card
from models.analysis.predictions import slice_members
from models.evaluation.intervals import mean
from models.probabilities import out_of_fold_prior, row_log_loss
from models.stacking.bundle import MODEL_CARD
from pipelines.report import attribution, battles, bias, compare, identity, quality, style
from pipelines.report.explore import spreads
from pipelines.report.figure import Drawn, Figure, LeftOut, figures_of
from pipelines.report.page import UNFOLDED, Example, Section, Summary, render_page
from pipelines.report.run_data import TEXTS, RunData, load_run
from pipelines.report.slices import slices_of
from pipelines.report.words import outcome_name
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.settings import ReportSettings

FIGURES = figures_of((compare, quality, battles, style, bias, attribution, identity))
"""Every figure, in the order of the page."""

LEAD = "losses"
"""The figure of the first screen."""

MOST_FINDINGS = 5
CLEAR = 2.0
"""Standard errors from nothing to tell that a finding of the first screen must lie."""

README_FIGURES = ("strengths", "outcomes_by_length_ratio", "style_effects", "biases", "losses")

EXAMPLES, EXAMPLES_OF_A_SLICE = 5, 3

log = logging.getLogger(__name__)


def main(settings: ReportSettings) -> None:
    """Make every figure of the run, and the page of them."""
    run = RunFolder(settings.run)
    against = None if settings.against is None else RunFolder(settings.against)
    data = load_run(run, settings.trust, against)
    if settings.readme_figures is not None:
        write_readme_figures(data, settings.readme_figures)
        return
    folder = settings.out or run.report
    check_output(folder / "index.html")
    with task("report", len(FIGURES)) as advance, threadpool_limits(1):
        asked = [each for each in FIGURES if data.against or compare.OTHER not in each.needs]
        sections = make_sections(asked, data, advance)
    every, numbers = spreads(data)
    csv = without_formulas(numbers).write_csv().encode("utf-8")
    drawn = [figure for section in sections for figure in section.figures]
    files = {f"{figure.name}.png": figure.png for figure in drawn}
    files |= {f"{figure.name}.csv": figure.csv for figure in drawn} | {"features.csv": csv}
    for name, content in files.items():
        with atomic_path(folder / "figures" / name) as path:
            path.write_bytes(content)
    shown = examples(data) if settings.examples else ()
    title = f"Report on {data.path.resolve().name}"
    page = render_page(title, facts(data), sections, shown, summary(data, drawn), (every, csv))
    with atomic_path(folder / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    write_card(data, run.bundle / MODEL_CARD)
    note(f"{len(drawn)} figures: {(folder / 'index.html').resolve().as_uri()}")


def write_card(data: RunData, card: Path) -> None:
    """Write the bundle's model card, or say that a run which may be read only goes without."""
    try:
        with atomic_path(card) as path:
            path.write_text(model_card(data.training, data.metrics), encoding="utf-8")
    except OSError as error:
        note(f"{card} is not written: {error.strerror}")


def write_readme_figures(data: RunData, folder: Path) -> None:
    """Write the pictures that the README shows; they hold statistics, no text of any battle."""
    for section in make_sections([each for each in FIGURES if each.name in README_FIGURES], data):
        for figure in section.figures:
            with atomic_path(folder / f"{figure.name}.png") as path:
                path.write_bytes(figure.png)
    note(f"figures of {len(data.labels):,} battles: {folder}")


def make_sections(
    figures: Sequence[Figure], data: RunData, advance: Advance = lambda *_: None
) -> list[Section]:
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


def summary(data: RunData, drawn: Sequence[Drawn]) -> Summary:
    """Return the first screen: findings by effect over uncertainty."""
    training = data.training
    prior = row_log_loss(out_of_fold_prior(data.labels, data.folds), data.labels)
    gain = mean(prior - row_log_loss(data.calibrated, data.labels), data.groups)
    telling = [each for each in drawn if each.plot.telling >= CLEAR and each.name != LEAD]
    return Summary(
        f"{training.battles:,} battles of {training.source}: which of two answers people prefer, "
        f"what that goes with, and how well an ensemble of {', '.join(training.signals)} states "
        "the chances of each outcome. All predictions are out of fold, intervals 95 %.",
        data.metrics["ensemble"]["after_calibration"],
        gain,
        [figure for figure in drawn if figure.name == LEAD],
        sorted(telling, key=lambda each: -each.plot.telling)[:MOST_FINDINGS],
    )


def facts(data: RunData) -> list[tuple[str, str]]:
    """Return what the run was, in small print."""
    training, stages = data.training, data.stages.items()
    return [
        ("run", str(data.path)),
        ("sha256", training.fingerprint),
        ("seed", str(training.seed)),
        ("columns", f"{training.columns:,}"),
        ("seconds", ", ".join(f"{name} {made['seconds']:,.0f}" for name, made in stages)),
        ("peak memory", f"{max(made.get('peak_memory_mb') or 0 for _, made in stages):,.0f} MB"),
        ("versions", ", ".join(f"{name} {found}" for name, found in training.versions.items())),
    ]


def examples(data: RunData) -> list[tuple[str, list[Example]]]:
    """Return the battles predicted worst, with most confidence, and worst in each slice."""
    losses = row_log_loss(data.calibrated, data.labels)
    most = np.argsort(-data.calibrated.max(axis=1), kind="stable")[:EXAMPLES]
    chosen = {
        "the battles predicted worst": np.argsort(-losses, kind="stable")[:EXAMPLES],
        "the most confident predictions": most,
    }
    for _, name, rows in slice_members(slices_of(data)):
        chosen[name] = rows[np.argsort(-losses[rows], kind="stable")[:EXAMPLES_OF_A_SLICE]]
    every = np.unique(np.concatenate(list(chosen.values()))).tolist()
    battles = {battle["row"]: battle for battle in data.texts_of(every).iter_rows(named=True)}
    return [
        (heading, [_example(data, battles[row], explained=place < UNFOLDED) for row in rows])
        for place, (heading, rows) in enumerate(chosen.items())
    ]


def _example(data: RunData, battle: Mapping[str, Any], *, explained: bool) -> Example:
    return Example(
        id=str(battle["id"]),
        model_a=battle.get("model_a"),
        model_b=battle.get("model_b"),
        outcome=outcome_name(OUTCOMES[battle["label"]]),
        stated=tuple(data.calibrated[battle["row"], : 2 + data.table.ties].tolist()),
        reasons=data.reasons(battle["row"]) if explained else {},
        **{name: TURN_SEPARATOR.join(battle[name]) for name in TEXTS},
    )


if __name__ == "__main__":
    run_command(main, ReportSettings, "python -m pipelines.report")
