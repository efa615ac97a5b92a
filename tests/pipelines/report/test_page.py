"""The page, what lies beside it, and what a hostile text can do to whoever opens it."""

import base64
import csv
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from featlab.errors import ConfigError
from featlab.generated import generate_battles
from models.stacking.bundle import load_bundle
from pipelines.report.__main__ import (
    FIGURES,
    README_FIGURES,
    main,
)
from pipelines.report.page import SHOWN_CHARACTERS, Example, Section, render_page, shown
from pipelines.report.run_data import RunData, load_run
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.settings import ReportSettings
from tests.pipelines.conftest import train
from tests.pipelines.report.conftest import COMPARED, LEFT_OUT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


NASTY = Example(
    id='7"><img src=x onerror=alert(1)>',
    model_a="<b>gpt</b>",
    model_b="שלום\u202eevil",
    outcome="tie",
    stated=(0.2, 0.3, 0.5),
    prompt="<script>document.title='stolen'</script> & &lt;i&gt; {{ 7 * 7 }} {% raw %}",
    response_a="# Title\n**bold** [link](javascript:alert(1))\n\x00nul\x07bell\r\nline",
    response_b="مرحبا بالعالم\u202e\u2066" + "x" * 1_000_000,
    reasons={"<b>my family</b>\u202e": 0.3, "verbosity": -0.2},
)


class Parsed(HTMLParser):
    """Tags with attributes, and the text of each example."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside = False
        self.feed(page)
        self.close()
        policy = next(each["content"] or "" for _, each in self.tags if "http-equiv" in each)
        self.policy = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append((tag, values))
        if values.get("class") == "text":
            self._inside = True
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data


def nasty_page() -> str:
    return render_page(
        "<title>run</title>",
        [("battles", "<u>1</u>")],
        [Section("Section", [], [("figure", "<script>reason</script>")])],
        [("worst", [NASTY])],
    )


def test_a_page_a_picture_and_numbers_for_every_figure(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    names = {figure.name for figure in FIGURES} - COMPARED
    assert len(names) == len(FIGURES) - len(COMPARED)
    for name in names - LEFT_OUT:
        assert f'<figure id="{name}" ' in page, name
        with (report / "figures" / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            assert len(list(csv.reader(stream))) > 1, name
        with Image.open(report / "figures" / f"{name}.png") as image:
            assert image.width >= 900, name
    for name in LEFT_OUT:
        assert f"Left out, {name}: " in page


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def own_script(page: str) -> str:
    """The page's script, whose hash its policy names; it has no other."""
    policy = Parsed(page).policy
    (script,), (style,) = (
        re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in ("script", "style")
    )
    assert policy["script-src"] == f"'{digest(script)}'"
    assert policy["style-src"] == f"'{digest(style)}'"
    assert policy["default-src"] == "'none'"
    return script


def test_the_page_names_nothing_outside_itself(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    parsed = Parsed(page)
    assert not {tag for tag, _ in parsed.tags} & {"iframe", "object", "embed", "base", "img"}
    own_script(page)
    for tag, values in parsed.tags:
        assert not any(name.startswith("on") or name == "style" for name in values), tag
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert (values.get(name) or "#").startswith(("#", "data:")), (tag, values.get(name))
    ids = [values["id"] for _, values in parsed.tags if "id" in values]
    assert len(ids) == len(set(ids))
    names = {values.get("href", "") for tag, values in parsed.tags if tag in ("a", "use")}
    assert {(name or "").removeprefix("#") for name in names if (name or "")[:1] == "#"} <= set(ids)


def test_every_figure_can_be_taken_home(report: Path) -> None:
    parsed = Parsed((report / "index.html").read_text(encoding="utf-8"))
    taken = {
        values["download"]: values["href"] for _, values in parsed.tags if "download" in values
    }
    written = {path.name: path.read_bytes() for path in (report / "figures").iterdir()}
    assert set(taken) == set(written)
    for name, content in written.items():
        assert base64.b64decode((taken[name] or "").split(",", 1)[1]) == content, name


def test_examples_are_collapsed_behind_a_warning(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert page.index('class="warning"') < page.index('<details class="examples"')
    assert not any("open" in values for _, values in Parsed(page).tags)


def test_the_worst_and_the_most_confident_have_bars(report: Path) -> None:
    assert [share for _, _, share in NASTY.bars] == pytest.approx([1, -2 / 3])
    page = (report / "index.html").read_text(encoding="utf-8")
    worst, confident, rest = page.split('<details class="examples"', 3)[1:]
    assert worst.count('<dl class="reasons">') == confident.count('<dl class="reasons">') == 5
    assert "reasons" not in rest


def test_a_figure_alone_in_its_row_has_its_table_beside_it(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    rows = [part.split("</section>")[0] for part in page.split('<div class="figures">')[1:]]
    assert len(rows) > 3
    for row in rows:
        assert 1 <= row.count("<figure ") <= 3
        assert ('class="open"' in row) == (row.count("<figure ") == 1)


def test_examples_can_be_left_out(trained: Path, tmp_path: Path) -> None:
    arguments = ["--run", str(trained), "--out", str(tmp_path), "--no-examples"]
    run_command(main, ReportSettings, "report", arguments)
    assert "examples" not in re.findall('class="([^"]*)"', (tmp_path / "index.html").read_text())


def test_the_card_stands_in_the_bundle_and_the_bundle_still_loads(
    report: Path, trained: Path, data: RunData
) -> None:
    card = (trained / "bundle" / "README.md").read_text(encoding="utf-8")
    load_bundle(trained / "bundle")
    loss = data.metrics["ensemble"]["after_calibration"]["log_loss"]["value"]
    assert f"| this ensemble | {loss:.4f} (" in card
    hub = pytest.importorskip("huggingface_hub")
    parsed = hub.ModelCard(card).data
    assert parsed.license == "other"
    values = {result.metric_type: result.metric_value for result in parsed.eval_results}
    assert values["log_loss"] == pytest.approx(loss, abs=1e-6)


def test_a_run_that_was_carried_away_is_reported_on_and_stays_as_it_is(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(trained, run)
    settings = (run / "config.toml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in settings if not line.startswith("data =")]
    (run / "config.toml").write_text("\n".join(['data = "/gone"', *kept]), encoding="utf-8")
    # Where no file of that name can be put, as in a folder that may be read only.
    (run / "bundle" / "README.md").unlink(missing_ok=True)
    (run / "bundle" / "README.md").mkdir()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    arguments = ["--run", str(run), "--out", str(out), "--no-examples"]
    run_command(main, ReportSettings, "report", arguments)
    assert "battles of train.csv" in (out / "index.html").read_text(encoding="utf-8")
    assert "README.md is not written" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("what", ["few", "alike"])
def test_a_page_of_battles_that_show_nothing_is_a_page(tmp_path: Path, what: str) -> None:
    battles = generate_battles(60, seed=3).train
    shown = {"few": battles.head(16), "alike": battles.with_columns(response_b="response_a")}
    shown[what].write_csv(tmp_path / "train.csv")
    train(tmp_path, tmp_path / "run", "--signals", "text", "--families", "newlines")
    run_command(main, ReportSettings, "report", ["--run", str(tmp_path / "run")])
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "Left out" in page
    assert 'id="features"' not in page


def test_readme_figures_are_small_and_nothing_else_is_written(
    trained: Path, tmp_path: Path
) -> None:
    arguments = ["--run", str(trained), "--readme-figures", str(tmp_path)]
    run_command(main, ReportSettings, "report", arguments)
    assert {path.stem for path in tmp_path.iterdir()} == set(README_FIGURES)
    assert all(path.stat().st_size < 150_000 for path in tmp_path.iterdir())


def test_a_folder_that_is_no_run_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished run"):
        load_run(RunFolder(tmp_path))


def test_a_run_whose_stages_do_not_fit_is_refused(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    outputs = manifest["stages"]["battles"]["outputs"]
    outputs.update(dict.fromkeys(outputs, "0" * 64))
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ConfigError, match="is older than"):
        load_run(RunFolder(run))


def test_texts_of_battles_are_text_and_nothing_more() -> None:
    page = nasty_page()
    parsed = Parsed(page)
    tags = [tag for tag, _ in parsed.tags]
    own_script(page)
    assert tags.count("script") == 1
    assert not {"b", "u", "i", "img"} & set(tags)
    assert tags.count("title") == 1
    prompt, response_a, response_b = parsed.texts
    assert prompt == NASTY.prompt
    assert response_a == "# Title\n**bold** [link](javascript:alert(1))\n␀nul␇bell\nline"
    assert response_b.startswith("مرحبا بالعالم[U+202E][U+2066]xxx")
    assert len(response_b) < SHOWN_CHARACTERS + 100
    assert "\x00" not in page
    assert "\u202e" not in page
    boxes = [values for _, values in parsed.tags if values.get("class") == "text"]
    assert [values.get("dir") for values in boxes] == ["auto"] * 3


def test_long_texts_say_how_much_is_missing() -> None:
    assert shown("é" * 5000).endswith("… [3,500 more characters]")


@pytest.mark.parametrize("what", ["nasty", "report"])
def test_a_browser_shows_the_text_runs_nothing_and_asks_for_nothing(
    what: str, report: Path, tmp_path: Path
) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    path = report / "index.html"
    if what == "nasty":
        path = tmp_path / "page.html"
        path.write_text(nasty_page(), encoding="utf-8")
    log = tmp_path / "net.json"
    ran = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    dom, said = ran.stdout.decode("utf-8"), ran.stderr.decode("utf-8", "replace")
    assert "CONSOLE" not in said, said
    asked = set(re.findall(r'"url":"(https?://[^"]*)"', log.read_text(errors="replace")))
    own = re.compile(r"https?://[^/]*\.(?:google|googleapis|gvt1)\.com(?:/|$)")
    assert not {url for url in asked if not own.match(url)}
    parsed = Parsed(dom)
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    if what == "nasty":
        assert "<title>stolen</title>" not in dom
        assert parsed.texts[0] == NASTY.prompt
        assert parsed.texts[1].count("␀") == 1
        assert "\ufffd" not in dom
        assert len(parsed.texts[2]) < SHOWN_CHARACTERS + 100
