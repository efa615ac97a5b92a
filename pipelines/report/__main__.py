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
from models.analysis.model_card import NAME, TrainingSummary, model_card
from models.evaluation.metrics import row_log_loss
from pipelines.report import audit, exploration, identity, insight, model_report
from pipelines.report.figure import Drawn, Figure, LeftOut
from pipelines.report.page import Example, Section, render_page
from pipelines.report.run_data import RunData, load_run
from pipelines.run.console import Progressed, progress, run_command, say
from pipelines.run.folder import RunFolder
from pipelines.run.settings import ReportSettings

FIGURES: tuple[Figure, ...] = (
    *exploration.FIGURES,
    *audit.FIGURES,
    *model_report.QUALITY_FIGURES,
    *insight.FIGURES,
    *identity.FIGURES,
    *model_report.COST_FIGURES,
)
"""Every figure, in the order of the page."""

README_FIGURES = (
    "strengths",
    "outcomes_by_length_ratio",
    "style_effects",
    "biases",
    "losses",
)

EXAMPLES = 5

log = logging.getLogger(__name__)


def main(settings: ReportSettings) -> None:
    """Make every figure of the run, and the page of them."""
    run = RunFolder(settings.run)
    data = load_run(run, settings.data)
    if settings.readme_figures is not None:
        write_readme_figures(data, settings.readme_figures)
        return
    folder = settings.out or run.report
    with progress("report", len(FIGURES)) as advance:
        sections = make_sections(FIGURES, data, advance)
    for section in sections:
        for figure in section.figures:
            write_figure(figure, folder / "figures")
    page = render_page(
        f"Report on {run.path.resolve().name}",
        facts(data),
        sections,
        examples(data) if settings.examples else (),
    )
    with atomic_path(folder / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    with atomic_path(run.bundle / NAME) as path:
        path.write_text(card(data), encoding="utf-8")
    drawn = sum(len(section.figures) for section in sections)
    say(f"{drawn} figures: {folder / 'index.html'}")


def write_readme_figures(data: RunData, folder: Path) -> None:
    """The pictures that the README shows; they hold statistics, no text of any battle."""
    for figure in FIGURES:
        if figure.name in README_FIGURES:
            with atomic_path(folder / f"{figure.name}.png") as path:
                path.write_bytes(figure.make(data).png)
    say(f"{len(README_FIGURES)} figures of {len(data.labels):,} battles: {folder}")


def card(data: RunData) -> str:
    """The bundle's model card."""
    inputs = data.manifest["stages"]["folds"]["inputs"]
    training = TrainingSummary(
        data.source.name,
        inputs["battles"],
        len(data.labels),
        len(data.models),
        data.settings.seed,
    )
    return model_card(data.bundle, data.metrics, training)


def make_sections(figures: Sequence[Figure], data: RunData, advance: Progressed) -> list[Section]:
    """Draw the figures, section by section, in their order."""
    drawn: dict[str, list[Drawn]] = {}
    left_out: dict[str, list[tuple[str, str]]] = {}
    for done, figure in enumerate(figures):
        drawn.setdefault(figure.section, [])
        try:
            drawn[figure.section].append(figure.make(data))
        except LeftOut as reason:
            left_out.setdefault(figure.section, []).append((figure.name, str(reason)))
            log.info("%s is left out: %s", figure.name, reason)
        advance(done + 1, figure.name)
    return [Section(name, made, left_out.get(name, ())) for name, made in drawn.items()]


def write_figure(figure: Drawn, folder: Path) -> None:
    """The picture and the numbers behind it."""
    with atomic_path(folder / f"{figure.name}.png") as path:
        path.write_bytes(figure.png)
    with atomic_path(folder / f"{figure.name}.csv") as path:
        figure.numbers.write_csv(path)


def facts(data: RunData) -> list[tuple[str, str]]:
    """What the run was, in a few lines."""
    loss = data.metrics["ensemble"]["after_calibration"]["log_loss"]
    versions = data.manifest["versions"]
    return [
        ("battles", f"{len(data.labels):,} of {data.source.name}"),
        ("signals", ", ".join(("text", *data.bundle["signals"]))),
        ("folds", f"{len(data.models)}, grouped by prompt"),
        (
            "log loss",
            f"{loss['value']:.4f} out of fold (95 % {loss['low']:.4f} to {loss['high']:.4f})",
        ),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def examples(data: RunData) -> list[tuple[str, list[Example]]]:
    """The battles predicted worst, and those predicted with most confidence."""
    losses = row_log_loss(data.calibrated, data.labels)
    confidence = data.calibrated.max(axis=1)
    chosen = {
        "the battles predicted worst": np.argsort(-losses, kind="stable")[:EXAMPLES],
        "the most confident predictions": np.argsort(-confidence, kind="stable")[:EXAMPLES],
    }
    return [(heading, _examples(data, rows.tolist())) for heading, rows in chosen.items()]


def _examples(data: RunData, rows: list[int]) -> list[Example]:
    return [
        Example(
            id=str(battle["id"]),
            model_a=battle.get("model_a") or "not named",
            model_b=battle.get("model_b") or "not named",
            outcome=OUTCOMES[battle["label"]],
            stated=tuple(data.calibrated[battle["row"]].tolist()),
            **{
                name: TURN_SEPARATOR.join(battle[name])
                for name in ("prompt", "response_a", "response_b")
            },
        )
        for battle in data.texts_of(rows).iter_rows(named=True)
    ]


if __name__ == "__main__":
    run_command(main, ReportSettings, "python -m pipelines.report")
