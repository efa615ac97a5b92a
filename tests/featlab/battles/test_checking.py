"""Bad input ends in one BattleError that names file, column and first rows."""

from __future__ import annotations

import traceback
from pathlib import Path

import polars as pl
import pytest

from featlab.battles import (
    ARENA,
    WSDM,
    BattleSchema,
    check_battles,
    explained,
    read_battles,
)
from featlab.errors import BattleError

HEADER = b"id,prompt,response_a,response_b"
ROW = b'%d,"[""a""]","[""b""]","[""c""]"'


def csv_file(folder: Path, *lines: bytes, name: str = "battles.csv") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def checked_and_read(source: Path | pl.DataFrame, schema: BattleSchema) -> pl.DataFrame:
    with explained(source, schema):
        check_battles(source, schema)
        return read_battles(source, schema).collect()


def failure(source: Path | pl.DataFrame, schema: BattleSchema = ARENA) -> BattleError:
    """The one error that checking and then reading everything ends in."""
    with pytest.raises(BattleError) as caught:
        checked_and_read(source, schema)
    error = caught.value
    assert "polars.exceptions" not in "".join(traceback.format_exception(error))
    assert error.source in str(error)
    assert "\n" not in str(error)
    if isinstance(source, Path):
        assert error.source == str(source)
    if error.column:
        assert f"'{error.column}'" in str(error)
    return error


def test_good_files_give_their_number_of_rows(raw_battles: pl.DataFrame) -> None:
    assert check_battles(raw_battles) == 4
    assert check_battles(raw_battles.lazy(), require_outcome=True) == 4


def test_no_such_file(tmp_path: Path) -> None:
    assert failure(tmp_path / "train.csv").problem == "there is no such file"
    assert failure(tmp_path).problem == "there is no file of battles in this folder"


def test_other_suffix(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, ROW % 1, name="battles.txt")
    assert failure(path).problem == "is neither .csv, .parquet nor .jsonl"


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xef\xbb\xbf"], ids=["0 bytes", "lines", "bom"]
)
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "battles.csv"
    path.write_bytes(content)
    assert failure(path).problem == "the file is empty"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_header_without_battles(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "battles.csv"
    path.write_bytes(HEADER + end)
    assert failure(path).problem == "there is no battle in it"


@pytest.mark.parametrize("size", [0, 10, 400])
def test_damaged_parquet(tmp_path: Path, raw_battles: pl.DataFrame, size: int) -> None:
    path = tmp_path / "battles.parquet"
    raw_battles.write_parquet(path)
    path.write_bytes(path.read_bytes()[:size])
    assert failure(path).problem == "is damaged, or no parquet file"


def test_missing_columns(tmp_path: Path) -> None:
    error = failure(csv_file(tmp_path, b"id,prompt,response_a", b"1,[],[]"))
    assert error.problem == "has no column 'response_b'"
    assert "id, prompt, response_a" in str(error)
    assert "'response_a', 'response_b'" in str(failure(csv_file(tmp_path, b"id,prompt", b"1,[]")))


def test_a_separator_other_than_the_comma(tmp_path: Path) -> None:
    error = failure(csv_file(tmp_path, HEADER.replace(b",", b";"), b"1;[];[];[]"))
    assert "parts its columns by semicolons" in str(error)


def test_outcomes_missing_in_part_or_where_required(tmp_path: Path) -> None:
    part = csv_file(tmp_path, HEADER + b",winner_model_a", ROW % 1 + b",1")
    assert failure(part).problem == "has no column 'winner_model_b', 'winner_tie'"
    none = csv_file(tmp_path, HEADER, ROW % 1)
    assert check_battles(none) == 1
    with pytest.raises(BattleError, match="has no column 'winner_model_a', "):
        check_battles(none, require_outcome=True)


@pytest.mark.parametrize("outcome", [b"1,1,0", b"0,0,0", b"1,,0", b"x,0,1", b"2,0,0", b"0.5,0.5,0"])
def test_outcomes_that_are_not_one_hot(tmp_path: Path, outcome: bytes) -> None:
    path = csv_file(
        tmp_path,
        HEADER + b",winner_model_a,winner_model_b,winner_tie",
        ROW % 1 + b",1,0,0",
        ROW % 7 + b"," + outcome,
        ROW % 8 + b",0.0,1.0,0.0",
    )
    error = failure(path)
    assert error.column == "winner_model_a, winner_model_b, winner_tie"
    assert error.rows == ("7",)
    words = outcome.decode().split(",")
    assert ", ".join(repr(word) if word else "nothing" for word in words) in str(error)


@pytest.mark.parametrize("winner", [b"model_c", b"", b"a or b"])
def test_unknown_labels(tmp_path: Path, winner: bytes) -> None:
    path = csv_file(tmp_path, HEADER + b",winner", b"x,a,b,c,model_a", b"y,a,b,c," + winner)
    error = failure(path, WSDM)
    assert (error.column, error.rows) == ("winner", ("y",))
    assert "names outcomes that are not known: " in str(error)
    assert (repr(winner.decode()) if winner else "nothing") in str(error)
    assert "--battles.a-words" in str(error)


def test_duplicate_ids(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, *(ROW % (row % 7) for row in range(14)))
    error = failure(path)
    assert (error.column, error.rows) == ("id", ("0", "1", "2", "3", "4"))


def test_null_ids(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, ROW % 1, b",[],[],[]", ROW % 3, b",[],[],[]")
    error = failure(path)
    assert error.column == "id"
    assert "rows 2, 4, counted from 1" in str(error)


@pytest.mark.parametrize(
    "cell",
    [b"plain", b'"[""a"""', b'"{""a"": 1}"', b"3", b'"[""a""],[""b""]"', b"true", b"[[]]"],
)
@pytest.mark.parametrize("column", ["prompt", "response_a", "response_b"])
def test_broken_json(tmp_path: Path, cell: bytes, column: str) -> None:
    cells = dict.fromkeys(("prompt", "response_a", "response_b"), b'"[""a""]"')
    cells[column] = cell
    broken = b",".join(cells.values())
    path = csv_file(tmp_path, HEADER, ROW % 1, *(b"%d,%b" % (row, broken) for row in range(2, 9)))
    error = failure(path)
    assert (error.column, error.rows) == (column, ("2", "3", "4", "5", "6"))
    assert "is not a JSON list of texts" in str(error)


def test_broken_json_in_a_frame_and_in_parquet(tmp_path: Path, raw_battles: pl.DataFrame) -> None:
    raw = raw_battles.with_columns(response_b=pl.lit("[oops]"))
    assert failure(raw).column == "response_b"
    raw.write_parquet(tmp_path / "battles.parquet")
    error = failure(tmp_path / "battles.parquet")
    assert (error.column, error.rows) == ("response_b", tuple(raw["id"]))


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    row = '2,"[""caf\u00e9""]",[],[]'.encode("latin-1")
    error = failure(csv_file(tmp_path, HEADER, ROW % 1, row))
    assert error.problem == "line 3 is not UTF-8 (byte 9 of the line)"


def test_a_header_that_is_not_utf8(tmp_path: Path) -> None:
    latin = csv_file(tmp_path, HEADER + ",\u00e9".encode("latin-1"), ROW % 1 + b",x")
    assert failure(latin).problem == "the header is not UTF-8"
    path = tmp_path / "utf16.csv"
    path.write_text((HEADER + b"\n" + ROW % 1).decode(), encoding="utf-16")
    assert failure(path).problem == "the header is not UTF-8"


def test_rows_of_more_fields_than_the_header(tmp_path: Path) -> None:
    error = failure(csv_file(tmp_path, HEADER, ROW % 1, ROW % 2 + b",more", ROW % 3))
    assert error.problem == "has rows of more fields than the header: line 3"


def test_a_file_cut_off_inside_a_text(tmp_path: Path) -> None:
    path = csv_file(tmp_path, HEADER, ROW % 1, b'2,"[""a""]","[""b')
    assert "quotation marks do not match near line 3, or the file is cut off" in str(failure(path))


@pytest.mark.parametrize("values", [[1], [1.5], [True], [[1]], [{"a": "b"}]])
def test_columns_that_hold_no_text(values: list[object]) -> None:
    raw = pl.DataFrame({"id": [1], "prompt": values, "response_a": ["[]"], "response_b": ["[]"]})
    error = failure(raw)
    assert error.column == "prompt"
    assert error.problem.endswith("not text")


def test_an_empty_frame() -> None:
    assert "has no column 'id'" in str(failure(pl.DataFrame()))


def test_what_the_engine_says_is_passed_on_when_no_cell_is_to_blame(
    raw_battles: pl.DataFrame,
) -> None:
    source = raw_battles.lazy()
    with pytest.raises(BattleError, match=r"LazyFrame: cannot be read: .*hello"), explained(source):
        source.select(pl.lit("hello").cast(pl.Int8, strict=True)).collect()


def test_other_failures_pass_unchanged(raw_battles: pl.DataFrame) -> None:
    with pytest.raises(ZeroDivisionError), explained(raw_battles):
        raise ZeroDivisionError
