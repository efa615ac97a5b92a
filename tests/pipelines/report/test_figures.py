"""Every figure states a finding, holds what it draws, and is left out where it says nothing."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure as Canvas

from featlab.errors import BundleError, ConfigError
from featlab.files import file_fingerprint, write_json
from pipelines.report.__main__ import (
    CLEAR,
    FIGURES,
    make_sections,
    summary,
)
from pipelines.report.figure import NAMES, Drawn, LeftOut, Plot
from pipelines.report.run_data import RunData, load_run
from pipelines.report.theme import render
from pipelines.run.folder import RunFolder
from tests.pipelines.report.conftest import COMPARED, LEFT_OUT


def test_a_picture_takes_its_colours_from_the_page_and_its_text_is_text(data: RunData) -> None:
    for name in ("losses", "pairs", "importance_of_features"):
        svg = next(figure for figure in FIGURES if figure.name == name).make(data).svg
        assert not re.search(r"""(fill|stroke)="(?!none|var\(--)""", svg), name
        assert "style=" not in svg
    assert (
        "lower is better</text>"
        in next(figure for figure in FIGURES if figure.name == "losses").make(data).svg
    )


@pytest.mark.parametrize("name", ["reliability", "biases", "outcomes_by_length_ratio"])
def test_title_keys_and_axes_stand_apart(name: str, plots: dict[str, Plot]) -> None:
    plot, drawn = plots[name], []

    def draw(canvas: Canvas) -> None:
        plot.draw(*np.ravel(canvas.subplots(*plot.panels, squeeze=False)))
        drawn.append(canvas)

    render(draw, plot.title, plot.note, plot.height, name)
    (canvas,) = drawn
    canvas.draw_without_rendering()
    parts = [*canvas.texts, *canvas.legends]
    assert len(parts) == 3
    boxes = [part.get_window_extent().padded(-3) for part in parts]
    boxes += [axes.get_tightbbox().padded(-3) for axes in canvas.axes]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])
        assert 0 <= box.ymin <= box.ymax <= canvas.bbox.ymax


def test_titles_are_sentences_with_numbers_and_notes_state_n(plots: dict[str, Plot]) -> None:
    for name, plot in plots.items():
        assert re.match(r"[A-Z0-9]", plot.title), name
        assert re.search(r"\d", plot.title), name
        assert re.search(r"\bn (=|up to) \d", plot.note), name


def test_what_is_drawn_stands_in_the_numbers(plots: dict[str, Plot]) -> None:
    for name, plot in plots.items():
        numbers = plot.numbers.select(cs.numeric().cast(pl.Float64))
        known = np.concatenate([column.drop_nulls().to_numpy() for column in numbers])
        if {"battles", "of"} <= set(numbers.columns):
            known = np.append(known, numbers["battles"] / numbers["of"])
        for axes in drawn_axes(plot):
            for container in axes.containers:
                if isinstance(container, ErrorbarContainer):
                    # Both ends of every interval, along either axis.
                    pairs = np.concatenate(container[2][0].get_segments())
                else:
                    pairs = np.array([(bar.get_width(), bar.get_height()) for bar in container])
                found = [np.isclose(ends[:, None], known).any(axis=1).all() for ends in pairs.T]
                assert any(found), name


def test_ticks_in_per_cent_print_where_they_stand(plots: dict[str, Plot]) -> None:
    for name, plot in plots.items():
        for axis in (axis for axes in drawn_axes(plot) for axis in (axes.xaxis, axes.yaxis)):
            for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True):
                if label.get_text().endswith(" %"):
                    printed = float(label.get_text().removesuffix(" %")) / 100
                    assert printed == pytest.approx(place, abs=1e-9), name


def test_what_battles_without_names_cannot_show_is_left_out(data: RunData) -> None:
    nobody = pl.lit(None, pl.String)
    nameless = replace(data, battles=data.battles.with_columns(model_a=nobody, model_b=nobody))
    needing = [figure for figure in FIGURES if NAMES in figure.needs]
    sections = make_sections(needing, nameless)
    assert not any(section.figures for section in sections)
    reasons = [reason for section in sections for _, reason in section.left_out]
    assert reasons == ["the training file names no models"] * len(needing)
    for figure in FIGURES:
        if NAMES not in figure.needs and figure.name not in LEFT_OUT | COMPARED:
            assert SENSE.search(figure.plot(nameless).title) is None, figure.name
    (slices,) = (figure.plot(nameless) for figure in FIGURES if figure.name == "slices")
    assert "family" not in slices.numbers["dimension"]


SENSE = re.compile(r"\bnan\b|\binf\b|-\d+(\.\d+)? %|\d{4,} %|[2-9]\d\d %")


def reduced(data: RunData, rows: np.ndarray) -> RunData:
    """The run as if it had these battles only."""
    table = replace(
        data.table,
        frame=data.table.frame[rows],
        outcomes=data.table.outcomes.take(rows),
        folds=np.arange(len(rows)) % 3,
    )
    return replace(
        data,
        battles=data.battles[rows],
        text=data.text[rows],
        calibrated=data.calibrated[rows],
        one_order=data.one_order[rows],
        other_order=data.other_order[rows],
        table=table,
    )


@pytest.mark.parametrize("what", ["no ties", "one fold", "few", "one outcome"])
def test_thin_data_have_sensible_headlines_or_a_reason(data: RunData, what: str) -> None:
    rows = {
        "no ties": np.flatnonzero(data.labels < 2),
        "one fold": np.flatnonzero(data.folds == 0),
        "few": np.arange(30),
        "one outcome": np.flatnonzero(data.labels == 0),
    }[what]
    sections = make_sections(FIGURES, reduced(data, rows))
    reasons = [reason for section in sections for _, reason in section.left_out]
    assert all(len(reason) > 20 for reason in reasons)
    drawn = [figure for section in sections for figure in section.figures]
    assert bool(drawn) == (what in ("no ties", "one fold"))
    for figure in drawn:
        assert SENSE.search(figure.plot.title) is None, figure.plot.title


def test_the_first_screen_tells_the_clearest_findings(
    data: RunData, plots: dict[str, Plot]
) -> None:
    first = summary(data, [Drawn(name, plot, b"", "") for name, plot in plots.items()])
    assert [figure.name for figure in first.lead] == ["losses"]
    told = [figure.plot.telling for figure in first.findings]
    assert told == sorted(told, reverse=True)
    assert len(told) <= 5
    assert min(told, default=CLEAR) >= CLEAR


def test_another_run_of_the_same_battles_is_set_beside(trained: Path, data: RunData) -> None:
    figure = next(figure for figure in FIGURES if figure.name == "against")
    beside = load_run(RunFolder(trained), against=RunFolder(trained))
    plot = figure.plot(beside)
    assert "not clearly better or worse" in plot.title
    assert plot.numbers["gain"].abs().max() == 0
    better = (beside.against or ("", None))[0], np.full_like(data.calibrated, 1 / 3)
    worse = replace(beside, against=better, calibrated=np.eye(3)[data.labels] * 0.7 + 0.1)
    assert figure.plot(worse).title.startswith("This run is better than trained")


def test_a_run_of_other_battles_is_not_set_beside(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    kept = pl.read_parquet(other / "oof.parquet").head(200)
    (other / "oof.parquet").unlink()
    kept.write_parquet(other / "oof.parquet")
    with pytest.raises((ConfigError, BundleError)):
        load_run(RunFolder(trained), against=RunFolder(other))


def test_a_run_whose_battles_are_numbered_is_set_beside_one_of_the_same_file_only(
    trained: Path, tmp_path: Path
) -> None:
    for name in ("own", "other"):
        run = tmp_path / name
        shutil.copytree(trained, run)
        told = json.loads((run / "bundle" / "manifest.json").read_text(encoding="utf-8"))
        told["schema"]["id"] = None
        write_json(run / "bundle" / "manifest.json", told)
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        digest = file_fingerprint(run / "bundle" / "manifest.json")
        manifest["stages"]["blend"]["outputs"]["bundle/manifest.json"] = digest
        write_json(run / "manifest.json", manifest)
    own, other = RunFolder(tmp_path / "own"), RunFolder(tmp_path / "other")
    assert load_run(own, against=other).against is not None
    inputs = manifest["stages"]["battles"]["made_from"]["inputs"]
    inputs.update(dict.fromkeys(inputs, "0" * 64))
    write_json(other.manifest, manifest)
    with pytest.raises(ConfigError, match="numbers of their rows"):
        load_run(own, against=other)


def drawn_axes(plot: Plot) -> list[Axes]:
    canvas = Canvas()
    axes = np.ravel(canvas.subplots(*plot.panels, squeeze=False)).tolist()
    plot.draw(*axes)
    canvas.draw_without_rendering()
    return axes


def test_a_measured_learning_curve_is_drawn(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    points = [
        {"n": n, "log_loss": 1 + 3 / n, "low": 1 + 2 / n, "high": 1 + 4 / n} for n in (50, 100, 200)
    ]
    content = {"points": points, "power_law": {"band": points}}
    (run / "learning_curve.json").write_text(json.dumps(content), encoding="utf-8")
    figure = next(figure for figure in FIGURES if figure.name == "learning_curve")
    drawn = figure.make(load_run(RunFolder(run)))
    assert drawn.plot.title.startswith(
        "From 50 to 200 battles the log loss falls from 1.060 to 1.015"
    )
    assert len(drawn.plot.numbers) == 6


def test_figures_of_damaged_files_are_left_out(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "study.journal").write_bytes(b"")
    (run / "learning_curve.json").write_text("[]")
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    stage = {**manifest["stages"]["metrics"], "outputs": {"learning_curve.json": "0" * 64}}
    manifest["stages"]["learning_curve"] = stage
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    data = load_run(RunFolder(run))
    for figure in FIGURES:
        if figure.name in ("study", "learning_curve"):
            with pytest.raises(LeftOut, match=r"damaged|train again"):
                figure.make(data)


def test_reasons_of_a_battle_add_up_to_what_is_predicted_out_of_fold(data: RunData) -> None:
    for row in (0, 100, 239):
        reasons = data.reasons(row)
        margin = data.calibrated[row, 0] - data.calibrated[row, 1]
        assert sum(reasons.values()) == pytest.approx(margin, abs=1e-6)
        assert 5 < len(reasons) <= 8
        sizes = [abs(effect) for effect in reasons.values()]
        assert sizes == sorted(sizes, reverse=True)
