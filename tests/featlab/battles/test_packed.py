"""A packed file that unpacks to more than memory holds is refused before anything unpacks it."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featlab.battles import check_battles
from featlab.errors import BattleError

HEADER = "id,prompt,response_a,response_b\n"
MEMORY = "featlab.battles.packed.available_memory"
MIB = 1 << 20


def written(path: Path, text: str) -> Path:
    """Write a text as a file's ending says."""
    if path.suffix == ".zst":
        pl.DataFrame({text[:-1]: []}).write_csv(path, compression="zstd", quote_style="never")
    else:
        content = text.encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("ending", ["csv.gz", "csv.zst", "csv", "jsonl.gz"])
def test_what_memory_does_not_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    text = f'{{"id": "{"x" * 9 * MIB}"}}\n' if "json" in ending else HEADER + "x" * 9 * MIB + "\n"
    path = written(tmp_path / f"x.{ending}", text)
    monkeypatch.setattr(MEMORY, lambda: 32 * MIB)
    with pytest.raises(BattleError, match=r"GiB, and 0\.0 GiB of memory are there") as caught:
        check_battles(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", ["csv.gz", "csv"])
def test_a_long_file_of_ordinary_lines_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    lines = "".join(f"{number},{'word ' * 100},a,b\n" for number in range(5_000))
    path = written(tmp_path / f"x.{ending}", HEADER + lines)
    monkeypatch.setattr(MEMORY, lambda: MIB)
    assert check_battles(path) == 5_000


@settings(max_examples=30)
@given(
    texts=st.lists(st.sampled_from(["a", "b" * 300_000, "word " * 50_000, "é\U0001f44d"])),
    level=st.integers(1, 10),
)
def test_no_file_of_zstd_unpacks_to_more_than_it_is_taken_for(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], level: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "x.csv.zst"
    frame = pl.DataFrame({"id": texts}, schema={"id": pl.String})
    frame.write_csv(path, compression="zstd", compression_level=level)
    size = len(frame.write_csv().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MEMORY, lambda: 4 * size - 1)
        with pytest.raises(BattleError, match="unpacks to"):
            check_battles(path)
