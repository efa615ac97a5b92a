"""Stages: made once, made again when they must be, and a run that no mistake harms."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from featlab.errors import ConfigError
from featlab.files import read_json, write_json
from featlab.generated import write_battles
from featlab.progress import report_to
from pipelines.features import main as features
from pipelines.run.console import ConsoleReporter, run_command
from pipelines.run.folder import RunFolder
from pipelines.run.run import LOCK, open_run, read_manifest, require_finished
from pipelines.run.settings import FeatureSettings
from tests.pipelines.conftest import train


def add(*, source: Path, made: Path, text: str) -> None:
    made.write_text(source.read_text() + text)


class Work:
    """A run of two stages, the second made from the first, and a source beside it."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source.txt"
        self.run = folder / "run"
        self.source.write_text("source")

    def __call__(
        self, text: str = " read", last: str = " twice", function: Callable[..., None] = add
    ) -> list[bool]:
        """Whether the first and the second stage were called."""
        one, two = self.run / "one.txt", self.run / "two.txt"
        with open_run(self.run, "") as run:
            first = run.stage(
                "one", function, inputs={"source": self.source}, outputs={"made": one}, text=text
            )
            second = run.stage("two", add, inputs={"source": one}, outputs={"made": two}, text=last)
            run.finish()
        return [first, second]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_a_stage_is_made_again_when_it_must_be_and_only_then(work: Work) -> None:
    assert work() == [True, True]
    assert work() == [False, False]
    work.source.touch()
    assert work() == [False, False]
    assert work(last=" thrice") == [False, True]
    work.source.write_text("another source")
    assert work(last=" thrice") == [True, True]
    assert (work.run / "two.txt").read_text() == "another source read thrice"
    # Made from other parts, the first stage comes out the same: the second is kept.
    work.source.write_text("another")
    assert work(text=" source read", last=" thrice") == [True, False]


def test_a_stage_that_took_long_says_so_before_it_is_made_again(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work()
    manifest = read_json(work.run / "manifest.json")
    manifest["stages"]["one"]["seconds"] = 725.0
    write_json(work.run / "manifest.json", manifest)
    report_to(ConsoleReporter())
    work(text=" anew")
    assert capsys.readouterr().err.count("took 12:05 the last time") == 1


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("edited by hand")])
def test_a_lost_or_changed_output_is_made_again(work: Work, harm: Callable[[Path], None]) -> None:
    work()
    content = (work.run / "one.txt").read_text()
    harm(work.run / "one.txt")
    assert work() == [True, False]
    assert (work.run / "one.txt").read_text() == content


def test_a_run_folder_may_move_and_be_named_in_another_way(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work()
    shutil.move(work.run, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    work.run = Path("moved")
    require_finished(RunFolder(work.run), "two")
    assert work() == [False, False]


def test_a_source_that_changes_while_it_is_read_is_an_error_and_nothing_is_recorded(
    work: Work,
) -> None:
    def changing(*, source: Path, made: Path, text: str) -> None:
        add(source=source, made=made, text=text)
        source.write_text("changed meanwhile")

    with pytest.raises(ConfigError, match=r"source\.txt changed while one was made"):
        work(function=changing)
    assert read_manifest(RunFolder(work.run))["stages"] == {}
    assert work() == [True, True]
    assert (work.run / "two.txt").read_text() == "changed meanwhile read twice"


def test_a_stage_that_fails_leaves_the_manifest_as_it_was_and_is_made_by_the_next_call(
    work: Work,
) -> None:
    def failing(*, source: Path, made: Path, text: str) -> None:
        made.write_text("half")
        raise KeyboardInterrupt

    work()
    before = (work.run / "manifest.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        work(text=" anew", function=failing)
    assert (work.run / "manifest.json").read_bytes() == before
    assert work(text=" anew") == [True, True]
    assert (work.run / "two.txt").read_text() == "source anew twice"


def test_stages_of_older_inputs_make_no_finished_run(work: Work) -> None:
    folder = RunFolder(work.run)
    with pytest.raises(ConfigError, match=r"no finished run \(no two\)"):
        require_finished(folder, "two")
    work()
    assert set(require_finished(folder, "two")["stages"]) == {"one", "two"}
    with open_run(work.run, "") as run:
        run.stage(
            "one",
            add,
            inputs={"source": work.source},
            outputs={"made": work.run / "one.txt"},
            text=" otherwise",
        )
    with pytest.raises(ConfigError, match=r"no finished run \(two is older than one\)"):
        require_finished(folder, "two")
    require_finished(folder, "one")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="file is no place for a run"),
        open_run(tmp_path / "file", ""),
    ):
        pass


TEXT = ["--signals", "text"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    write_battles(folder, 120, 10, seed=3)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the text signal alone; tests leave it as it is."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    train(data, run, *TEXT)
    return run


def content(run: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a run but the lock, with its time."""
    return {
        str(path.relative_to(run)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in run.rglob("*")
        if path.is_file() and path.name != LOCK
    }


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--families", "newline"], "newline"),
        (["--battles.layout", "chosen-rejected"], "chosen"),
        (["--battles.winner", "verdict"], "verdict"),
        (["--signals", "smell"], "smell"),
        (["--signals", "nowhere:Smell"], "nowhere"),
        (["--data", "nowhere"], "nowhere"),
        (["--extra", "nowhere.csv"], "nowhere.csv"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--trials", "many"], "trials"),
        (["--folds", "2"], "folds"),
        (["--sede", "1"], "sede"),
    ],
)
def test_a_mistyped_command_leaves_every_byte_of_a_finished_run(
    data: Path,
    finished: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    word: str,
) -> None:
    before = content(finished)
    with pytest.raises(SystemExit) as ended:
        train(data, finished, *TEXT, *arguments)
    assert ended.value.code == 2
    assert word in capsys.readouterr().err
    assert content(finished) == before


def test_two_commands_at_once_end_in_a_sentence(
    data: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(finished)
    with FileLock(finished / LOCK), pytest.raises(SystemExit) as ended:
        train(data, finished, *TEXT, "--seed", "7")
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert "another command is at work" in said
    assert "\n" not in said
    assert content(finished) == before


def test_the_same_command_again_changes_nothing(data: Path, finished: Path) -> None:
    before = content(finished)
    train(data, finished, *TEXT)
    after = content(finished)
    assert {name: file[0] for name, file in after.items()} == {
        name: file[0] for name, file in before.items()
    }
    assert [name for name in after if after[name] != before[name]] == ["config.toml"]


def test_features_of_other_families_unfinish_a_run_until_it_is_trained_again(
    data: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    folder = RunFolder(run)
    require_finished(folder, "metrics")
    arguments = ["--data", str(data), "--run", str(run), "--families", "newlines"]
    run_command(features, FeatureSettings, "features", arguments)
    with pytest.raises(ConfigError, match="older than text"):
        require_finished(folder, "metrics")
    train(data, run, *TEXT, "--families", "newlines")
    require_finished(folder, "metrics")
    assert len(pl.read_parquet(folder.signal("text")).columns) < 50
    train(data, run, *TEXT)
    for path in (folder.out_of_fold, folder.metrics, folder.signal("text")):
        assert path.read_bytes() == (finished / path.relative_to(run)).read_bytes()
