from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from featlab.generated import write_battles
from pipelines import data
from pipelines.command_line import run_command


def fetch_into(folder: Path) -> None:
    run_command(data.main, data.DataCommandSettings, "data", ["--data", str(folder)])


def test_without_a_network_it_says_what_to_do_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **options: object) -> str:
        raise LocalEntryNotFoundError("no connection\nand a long explanation")

    monkeypatch.setattr(data, "hf_hub_download", refuse)
    with pytest.raises(SystemExit) as caught:
        fetch_into(tmp_path)
    printed = capsys.readouterr().err.strip()
    assert caught.value.code == 2
    assert "no connection" in printed
    assert "by hand" in printed
    assert printed.count("\n") == 0


def test_a_file_of_another_size_is_not_taken(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "hf_hub_download", lambda *_, **__: str(generated / "train.csv"))
    with pytest.raises(SystemExit):
        fetch_into(tmp_path)
    assert not (tmp_path / "train.csv").exists()


def test_the_whole_release_is_put_in_place_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_battles(tmp_path / "hub", 60, 50, seed=1)
    monkeypatch.setattr(data, "hf_hub_download", lambda *_, **__: str(tmp_path / "hub/train.csv"))
    monkeypatch.setattr(data, "ROWS", 60)
    fetch_into(tmp_path)
    assert (tmp_path / "train.csv").read_bytes() == (tmp_path / "hub/train.csv").read_bytes()
    fetch_into(tmp_path)
    assert "there already: 60 battles" in capsys.readouterr().err
