"""What a parquet file takes in memory is known before it is read, whatever wrote it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featlab.battles import read_battles
from featlab.battles.sizes import check_size, row_groups
from featlab.errors import BattleError

GIB = 1 << 30
MEMORY = "featlab.battles.sizes.available_memory"


def groups_of(path: Path) -> tuple[int, int, int]:
    """How many row groups there are, what they unpack to, and what texts may add."""
    status = path.stat()
    groups = row_groups(path, status.st_size, status.st_mtime_ns)
    return len(groups), sum(g.unpacked for g in groups), sum(g.repeated for g in groups)


@settings(max_examples=60)
@given(
    texts=st.lists(st.text(max_size=30) | st.none(), min_size=1, max_size=12),
    times=st.integers(1, 40),
    shape=st.sampled_from(["text", "list", "messages"]),
    compression=st.sampled_from(["zstd", "snappy", "gzip", "uncompressed"]),
    rows=st.integers(1, 60),
)
def test_no_text_is_longer_than_what_its_file_says(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str | None],
    times: int,
    shape: str,
    compression: str,
    rows: int,
) -> None:
    cells = pl.Series(texts * times, dtype=pl.String)
    frame = cells.to_frame("x").with_row_index("id")
    wrapped = {"text": pl.col("x"), "list": pl.concat_list("x"), "messages": None}[shape]
    if wrapped is None:
        wrapped = pl.concat_list(pl.struct(role=pl.lit("user"), content="x"))
    path = tmp_path_factory.mktemp("sizes") / "x.parquet"
    frame.with_columns(x=wrapped).write_parquet(path, compression=compression, row_group_size=rows)
    count, unpacked, repeated = groups_of(path)
    assert count == -(-len(cells) // rows)
    assert unpacked + repeated >= (cells.str.len_bytes().sum() or 0) + 16 * len(cells)


def bomb(path: Path, texts: int, length: int) -> Path:
    """One text, kept once, in so many battles."""
    text = pl.lit("a " * (length // 2)).alias("response_a")
    rows = pl.select(id=pl.int_range(texts)).with_columns(
        text, prompt=pl.lit("Hi"), response_b=pl.lit("No"), winner=pl.lit("tie")
    )
    rows.write_parquet(path)
    return path


def test_a_small_file_of_many_gigabytes_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bomb(tmp_path / "bomb.parquet", 600, 1_000_000)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(MEMORY, lambda: int(1.6 * GIB))
    with pytest.raises(BattleError, match=r"1\.7 GiB of memory, and 1\.6 GiB are there") as said:
        read_battles(path)
    assert "\n" not in str(said.value)
    monkeypatch.setattr(MEMORY, lambda: int(1.8 * GIB))
    assert read_battles(path).select(pl.len()).collect().item() == 600


def test_nothing_in_many_rows_has_its_weight_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nulls.parquet"
    pl.select(x=pl.repeat(None, 8_000_000, dtype=pl.String)).write_parquet(
        path, row_group_size=8_000_000
    )
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(MEMORY, lambda: GIB // 16)
    with pytest.raises(BattleError, match="of memory"):
        check_size(path)


def test_texts_that_repeat_cost_their_rows_and_not_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bomb(tmp_path / "ordinary.parquet", 1_500_000, 1_000)
    # As many texts of a thousand letters are 1.4 GiB; those worked on at a time, a tenth.
    monkeypatch.setattr(MEMORY, lambda: GIB * 3 // 4)
    check_size(path)


@settings(max_examples=150)
@given(at=st.floats(0, 1), put=st.binary(max_size=4), keep=st.floats(0, 1) | st.just(1.0))
def test_a_damaged_file_has_a_size_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: float, put: bytes, keep: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    pl.DataFrame({"x": ["a", None, "b"] * 9}).write_parquet(path, row_group_size=5)
    whole = path.read_bytes()
    start = int(at * len(whole))
    path.write_bytes((whole[:start] + put + whole[start + len(put) :])[: int(keep * len(whole))])
    try:
        check_size(path)
    except BattleError as error:
        named = str(path) in str(error)
    else:
        named = True
    assert named
