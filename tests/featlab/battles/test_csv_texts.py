"""Any CSV text gives what Python's own reader gives, or one error that names file and line.

`FEATLAB_TEST_EXAMPLES` says how many texts are tried.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from featlab.battles import BattleSchema, check_battles, read_battles
from featlab.errors import BattleError

EXAMPLES = int(os.environ.get("FEATLAB_TEST_EXAMPLES", "150"))
HEADER = ["id", "prompt", "response_a", "response_b"]
PLAIN = BattleSchema(texts="plain")
PIECES = ["a", "7", "007", "1.10", "1e5", '"', '""', ",", "\n", "\r\n", " ", "é", "\t", "'", ";"]

plain_cells = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
)
ids = st.one_of(
    st.integers(0, 10**40).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
    st.sampled_from(["007", "7", "1.10", "1e5", "12345678e999", "0x1F", "true", "null", "-0"]),
    st.text("abc0123456789-_.eE+", min_size=1, max_size=12),
)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@st.composite
def well_formed(draw: st.DrawFn) -> str:
    """Rows as a writer writes them, with blank lines anywhere and any ends of lines."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    rows = draw(st.lists(st.tuples(ids, plain_cells, plain_cells, plain_cells), max_size=6))
    lines = [",".join(draw(st.sampled_from([HEADER, list(map(quoted, HEADER))])))]
    for row in rows:
        fields = [
            quoted(cell) if any(mark in cell for mark in ',"\r\n') or draw(st.booleans()) else cell
            for cell in row
        ]
        lines += [",".join(fields), *[""] * draw(st.sampled_from([0, 0, 0, 1, 2]))]
    return (
        draw(st.sampled_from(["", "\ufeff"]))
        + end.join(lines)
        + draw(st.sampled_from(["", end, end * 3]))
    )


@st.composite
def broken(draw: st.DrawFn) -> str:
    """Well-formed text, cut, or with pieces put in anywhere behind the header."""
    text = draw(well_formed())
    start = text.index("response_b") + len("response_b") + 1
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(min(start, len(text)), len(text)))
        text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
    if draw(st.booleans()):
        text = text[: draw(st.integers(min(start, len(text)), len(text)))]
    return text


def reference(text: str) -> list[list[str]] | None:
    """The rows of Python's reader, or nothing where a row has other fields than the header."""
    try:
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error:
        return None
    header, *records = [row for row in rows if row]
    if header != HEADER or any(len(row) != len(header) for row in records):
        return None
    # Line ends inside texts become line feeds.
    return [
        [row[0], *(cell.replace("\r\n", "\n") for cell in row[1:])] for row in records if any(row)
    ]


def read(path: Path) -> list[list[str]] | BattleError:
    try:
        check_battles(path, PLAIN, unique_ids=False)
        frame = read_battles(path, PLAIN).select(HEADER).collect()
    except BattleError as error:
        return error
    return [
        [frame["id"][row], *(frame[name][row][0] for name in HEADER[1:])]
        for row in range(len(frame))
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texts") / "battles.csv"


def check(text: str, path: Path) -> str:
    """Read a text both ways, and say whether there were rows or an error."""
    path.unlink(missing_ok=True)
    path.write_bytes(text.encode())
    expected = reference(text)
    found = read(path)
    if isinstance(found, BattleError):
        named = (found.source == str(path), "\n" in str(found))
        assert named == (True, False)
        # What Python reads is refused only for rows without ids, or cut behind a comma.
        refused = not expected or any(not row[0] for row in expected) or text.endswith(",")
        assert refused, str(found)
        return "an error"
    assert found == expected
    return "rows"


@settings(max_examples=EXAMPLES)
@given(text=well_formed())
@example(text="id,prompt,response_a,response_b\n1.10,a,b,c\n\n\n")
def test_what_a_writer_wrote_is_read_back(path: Path, text: str) -> None:
    check(text, path)


@settings(max_examples=EXAMPLES)
@given(text=broken())
@example(text='id,prompt,response_a,response_b\n1,x"z,y,w\n2,a, "b",c\n')
@example(text='id,prompt,response_a,response_b\n1,"a","b","c')
@example(text="id,prompt,response_a,response_b\n1,a,b,c\n2,a,b")
@example(text='id,prompt,response_a,response_b\n0,,"""",""a""')
@example(text='id,prompt,response_a,response_b\n0,,,00\n"00","","0","000""')
@example(text='id,prompt,response_a,response_b\r\r\n\n0,,,""""\r\n0,",","""",""""')
@example(text="id,prompt,response_a,response_b\r\n1,a,b,c\r\r\n2,a,b,c\r\r\n")
@example(text='id,prompt,response_a,response_b\r\n1,x,a"\r",0')
@example(text="id,prompt,response_a,response_b\r1,a,b,c\r2,a,b,c\r")
def test_anything_else_is_read_the_same_or_refused(path: Path, text: str) -> None:
    check(text, path)


def test_rows_are_what_most_texts_give(path: Path) -> None:
    assert check("id,prompt,response_a,response_b\n007,a,b,c\n", path) == "rows"
    assert check("id,prompt,response_a,response_b\n007,a\n", path) == "an error"
    frame = pl.DataFrame({"id": ["1e5", "100000"], **dict.fromkeys(HEADER[1:], "x")})
    frame.write_csv(path)
    assert read(path) == [["1e5", "x", "x", "x"], ["100000", "x", "x", "x"]]
