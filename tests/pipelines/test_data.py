"""Fetching the battles: the real clients against servers on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from featlab.generated import write_battles
from pipelines.data import DataCommandSettings
from pipelines.download import kaggle as kaggle_source
from pipelines.download.errors import DownloadError, writable
from pipelines.download.hub import training_file
from tests.pipelines import loopback_hub, loopback_kaggle
from tests.pipelines.loopback_hub import Break, LoopbackHub
from tests.pipelines.loopback_kaggle import LoopbackKaggle

ROOT = Path(__file__).parents[2]
ROWS = 60
LEADING_HERE = ("hf_", "kaggle", "featlab_", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A train.csv of some megabytes, so that it comes in several pieces, and a test.csv."""
    folder = tmp_path_factory.mktemp("tables")
    write_battles(folder, ROWS, 50, seed=1)
    long = pl.concat_str(pl.lit('["'), pl.lit("word " * 50_000), pl.lit('"]'))
    pl.read_csv(folder / "train.csv").with_columns(response_b=long).write_csv(folder / "long.csv")
    names = {"train.csv": "long.csv", "test.csv": "test.csv"}
    return {name: (folder / file).read_bytes() for name, file in names.items()}


@pytest.fixture
def hub(tables: dict[str, bytes]) -> Iterator[LoopbackHub]:
    files = {"README.md": b"A card.", "train.csv": tables["train.csv"]}
    with loopback_hub.serving(LoopbackHub(files)) as served:
        yield served


@pytest.fixture
def kaggle(tables: dict[str, bytes]) -> Iterator[LoopbackKaggle]:
    pytest.importorskip("kagglehub")
    with loopback_kaggle.serving(LoopbackKaggle(dict(tables))) as served:
        yield served


class Command:
    """``python -m pipelines.data`` in its own process, with its own home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"

    def files(self) -> list[str]:
        """What lies in the data folder."""
        return sorted(path.name for path in self.data.iterdir())

    def bytes_there(self) -> int:
        """How many bytes lie in the data folder."""
        return sum(path.stat().st_size for path in self.data.glob("*") if path.is_file())

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().startswith(LEADING_HERE)
        }
        own = {"HOME": str(self.home), "COLUMNS": "300", "no_proxy": "127.0.0.1"}
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "pipelines.data", "--data", str(self.data)),
                *("--rows", str(ROWS), *arguments),
            ],
            cwd=ROOT,
            env={**kept, **own, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> str:
        """What it says when it succeeds."""
        process = self.start(*arguments, **variables)
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert out == ""
        return said

    def refused(self, *arguments: str, **variables: str) -> str:
        """The sentence it ends with when it does not."""
        process = self.start(*arguments, **variables)
        out, said = process.communicate(timeout=60)
        assert process.returncode == 2, said
        last = said.strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert "Traceback" not in said
        assert out == ""
        assert not (self.data / "train.csv").exists()
        return last


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_the_hub_gives_the_release_and_is_not_asked_twice(
    hub: LoopbackHub, command: Command
) -> None:
    said = command.run(HF_ENDPOINT=hub.url, HF_TOKEN="hf_a-token")
    assert "source: hub (no credentials for Kaggle)" in said
    assert f"{ROWS} battles in {command.data}/train.csv" in said
    assert (command.data / "train.csv").read_bytes() == hub.files["train.csv"]
    assert command.files() == ["train.csv"]
    assert hub.authorization == "Bearer hf_a-token"
    assert hub.starts == [0]
    assert f"is there already: {ROWS} battles" in command.run(HF_ENDPOINT=hub.url)
    assert hub.starts == [0]


def test_a_killed_download_goes_on_where_it_stopped(hub: LoopbackHub, command: Command) -> None:
    hub.breaks, hub.arrived = [(12_000_000, "hang")], lambda: command.bytes_there() > 0
    process = command.start(HF_ENDPOINT=hub.url)
    assert hub.reached.wait(60)
    have = command.bytes_there()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert "train.csv" not in command.files()
    command.run(HF_ENDPOINT=hub.url)
    assert hub.starts[0] == 0
    assert hub.starts[-1] >= have
    assert command.files() == ["train.csv"]
    assert (command.data / "train.csv").read_bytes() == hub.files["train.csv"]


def test_ctrl_c_says_that_it_can_go_on(hub: LoopbackHub, command: Command) -> None:
    hub.breaks = [(1_000, "hang")]
    process = command.start(HF_ENDPOINT=hub.url)
    assert hub.reached.wait(60)
    process.send_signal(signal.SIGINT)
    assert "run the same command again" in process.communicate(timeout=60)[1]
    assert process.returncode == 130


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_breaks_is_taken_up_again(
    hub: LoopbackHub, command: Command, how: Break
) -> None:
    hub.breaks, hub.arrived = [(12_000_000, how)], lambda: command.bytes_there() > 0
    command.run(HF_ENDPOINT=hub.url)
    assert len(hub.starts) == 2
    assert hub.starts[1] > 0
    assert (command.data / "train.csv").read_bytes() == hub.files["train.csv"]


def test_a_connection_that_gives_nothing_ends_in_a_sentence(
    hub: LoopbackHub, command: Command
) -> None:
    hub.breaks = [(0, "reset")]
    said = command.refused(HF_ENDPOINT=hub.url)
    assert "it goes on where it stopped" in said
    command.run(HF_ENDPOINT=hub.url)


def test_a_damaged_file_is_refused_and_removed(hub: LoopbackHub, command: Command) -> None:
    whole = hub.files["train.csv"]
    hub.files["train.csv"] = whole[:-2] + b"7" + whole[-1:]
    said = command.refused(HF_ENDPOINT=hub.url)
    assert "sha256" in said
    assert command.files() == []
    hub.files["train.csv"] = whole
    command.run(HF_ENDPOINT=hub.url)


def test_what_cannot_be_a_part_of_the_file_is_begun_anew(
    hub: LoopbackHub, command: Command
) -> None:
    whole = hub.files["train.csv"]
    command.data.mkdir()
    part = command.data / f".train.{hub.recorded['train.csv'][:16]}.part.csv"
    part.write_bytes(whole + b"longer than the whole")
    command.run(HF_ENDPOINT=hub.url)
    assert command.files() == ["train.csv"]
    assert (command.data / "train.csv").read_bytes() == whole


def test_another_number_of_battles_or_layout_is_refused(
    tables: dict[str, bytes], hub: LoopbackHub, command: Command
) -> None:
    many = command.refused("--rows", "57477", HF_ENDPOINT=hub.url)
    assert f"holds {ROWS} battles, not 57,477" in many
    assert command.files() == []
    other = tables["train.csv"].replace(b"winner_tie", b"winner_both", 1)
    with loopback_hub.serving(LoopbackHub({"train.csv": other})) as another:
        assert "winner_tie" in command.refused(HF_ENDPOINT=another.url)
    assert command.files() == []


def test_a_release_in_parquet_serves_as_well(
    tables: dict[str, bytes], command: Command, tmp_path: Path
) -> None:
    table = tmp_path / "t.parquet"
    pl.read_csv(tables["train.csv"]).write_parquet(table)
    files = {"README.md": b"", "data/train-00000-of-00001.parquet": table.read_bytes()}
    with loopback_hub.serving(LoopbackHub(files)) as hub:
        command.run(HF_ENDPOINT=hub.url)
    assert command.files() == ["train.parquet"]
    assert "already" in command.run()


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (401, {}, "hf auth login"),
        (403, {}, "hf auth login"),
        (403, {"X_Error_Code": "GatedRepo"}, "accept them on its page"),
        (404, {"X_Error_Code": "RepoNotFound"}, "the hub knows no lmarena-ai"),
        (503, {}, "status 503"),
        (200, {}, "look at HF_ENDPOINT"),
    ],
)
def test_what_the_hub_answers_becomes_one_sentence(
    hub: LoopbackHub, command: Command, status: int, headers: dict[str, str], words: str
) -> None:
    hub.status = (status, headers)
    said = command.refused(HF_ENDPOINT=hub.url)
    assert words in said
    assert "by hand" in said


def test_without_a_network_or_a_release_it_says_what_to_do_instead(
    hub: LoopbackHub, command: Command
) -> None:
    said = command.refused(HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot be reached" in said
    assert "by hand" in said
    assert "HF_HUB_OFFLINE" in command.refused(HF_HUB_OFFLINE="1")
    for name in ("some/other", "no name at all!"):
        assert f"knows no {name}" in command.refused("--release", name, HF_ENDPOINT=hub.url)


TOKEN = {"KAGGLE_API_TOKEN": "a-token"}


def test_kaggle_gives_both_files_to_those_it_knows(
    kaggle: LoopbackKaggle, command: Command
) -> None:
    names = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "a-key"}
    said = command.run("--sha256", "", **kaggle.environment(), **names)
    assert "source: kaggle (with credentials for Kaggle)" in said
    assert {asked["competitionName"] for asked in kaggle.asked} == {"llm-classification-finetuning"}
    assert (kaggle.authorization or "").startswith("Basic ")
    for name in ("train.csv", "test.csv"):
        assert (command.data / name).read_bytes() == kaggle.files[name]


def test_kaggle_takes_a_token_and_a_credentials_file(
    kaggle: LoopbackKaggle, command: Command
) -> None:
    command.run("--sha256", "", **kaggle.environment(), **TOKEN)
    assert kaggle.authorization == "Bearer a-token"
    shutil.rmtree(command.data)
    (command.home / ".kaggle").mkdir()
    (command.home / ".kaggle" / "kaggle.json").write_text('{"username": "u", "key": "k"}')
    command.run("--sha256", "", **kaggle.environment())
    assert (kaggle.authorization or "").startswith("Basic ")
    (command.home / ".kaggle" / "kaggle.json").write_text("{}")
    shutil.rmtree(command.data)
    assert "missing 'username'" in command.refused(**kaggle.environment())


def test_a_killed_download_from_kaggle_goes_on(kaggle: LoopbackKaggle, command: Command) -> None:
    whole = kaggle.files["train.csv"]
    kaggle.hang_after = len(whole) // 2
    process = command.start("--sha256", "", **kaggle.environment(), **TOKEN)
    part = command.home / ".cache/kagglehub/competitions/llm-classification-finetuning/train.csv"
    until = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size >= 1 << 20):
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    have = part.stat().st_size
    kaggle.hang_after = None
    command.run("--sha256", "", **kaggle.environment(), **TOKEN)
    assert f"bytes={have}-" in kaggle.ranges
    assert (command.data / "train.csv").read_bytes() == whole


def test_kaggles_file_is_known_by_its_checksum(kaggle: LoopbackKaggle, command: Command) -> None:
    said = command.refused(**kaggle.environment(), **TOKEN)
    assert "0692154a" in said
    assert "184,175,071" in said
    kaggle.damaged = True
    assert "came damaged" in command.refused(**kaggle.environment(), **TOKEN)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "KAGGLE_API_TOKEN"),
        (403, "competitions/llm-classification-finetuning/rules"),
        (404, "Kaggle has no train.csv"),
        (503, "status 503"),
    ],
)
def test_what_kaggle_answers_becomes_one_sentence(
    kaggle: LoopbackKaggle, command: Command, status: int, words: str
) -> None:
    kaggle.status = status
    assert words in command.refused("--source", "kaggle", **kaggle.environment(), **TOKEN)


def test_kaggle_without_credentials_or_network(command: Command) -> None:
    pytest.importorskip("kagglehub")
    said = command.refused("--source", "kaggle")
    assert "KAGGLE_API_TOKEN" in said
    assert "--source hub" in said
    away = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "http_proxy": "http://127.0.0.1:9"}
    away |= {"no_proxy": ""}
    assert "cannot be reached" in command.refused(**away, **TOKEN)


def test_without_kaggles_client_auto_asks_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaggle_source, "find_spec", lambda _: None)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-token")
    assert not kaggle_source.has_credentials()
    with pytest.raises(DownloadError, match="pip install kagglehub"):
        kaggle_source.fetch_from_kaggle("any", "train.csv")


def test_a_folder_that_takes_no_more_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(DownloadError, match="is full; make room"),
        writable(tmp_path),
        # A device that is always full.
        Path("/dev/full").open("w") as stream,
    ):
        stream.write("x")
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="see to its rights"), writable(tmp_path / "file"):
        pass
    nearly_full = shutil._ntuple_diskusage(100, 91, 9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    no_room = pytest.raises(DownloadError, match="make room, or choose another folder")
    with no_room, writable(tmp_path, 10):
        (tmp_path / "part").touch()
    assert not (tmp_path / "part").exists()


def test_which_file_of_a_release_is_the_table() -> None:
    assert training_file("owner/name", ["a.csv", "train.csv"]) == "train.csv"
    assert training_file("owner/name", ["only.csv", "train.parquet"]) == "only.csv"
    for names in (["README.md"], [], ["a.csv", "b.csv"]):
        with pytest.raises(DownloadError, match="no single table"):
            training_file("owner/name", names)


def test_the_defaults_are_the_competitions(tmp_path: Path) -> None:
    settings = DataCommandSettings.load(["--data", str(tmp_path)], "data")
    assert (settings.rows, settings.sha256, settings.source) == (57_477, "0692154a", "auto")
    assert settings.release == "lmarena-ai/arena-human-preference-55k"
