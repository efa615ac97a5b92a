"""Every known layout is recognised from its columns and read as the battles that it holds."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featlab.battles import (
    LAYOUTS,
    BattleSchema,
    ChosenFirst,
    LabelColumn,
    check_battles,
    fitting,
    images_left_out,
    read_battles,
    recognise,
    settled,
)
from featlab.errors import BattleError

TEXTS = ("prompt", "response_a", "response_b")


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def talk(*contents: Any) -> list[dict[str, Any]]:
    """A conversation that a user begins."""
    return [said(("user", "assistant")[turn % 2], text) for turn, text in enumerate(contents)]


def parts(*texts: str) -> list[dict[str, Any]]:
    """Content as parts, an image behind each text."""
    image = {"type": "image", "text": None, "image": "x.png"}
    found = []
    for text in texts:
        found += [{"type": "text", "text": text, "image": None}, image]
    return found


def transcript(*contents: str) -> str:
    speakers = ("Human", "Assistant")
    return "".join(f"\n\n{speakers[turn % 2]}: {text}" for turn, text in enumerate(contents))


A, B = ("Hi", "Hello.", "And?", "Well."), ("Hi", "Go away.", "And?", "No.")
BOTH = (["Hi", "And?"], ["Hello.", "Well."], ["Go away.", "No."])
LAST = {"conversation_a": talk(*A), "conversation_b": talk(*B), "winner": "tie (bothbad)"}
JUDGED = {**LAST, "model_a": "m", "model_b": "n", "judge": "expert_1"}

KNOWN: list[tuple[str, str, dict[str, Any], tuple[list[str], list[str], list[str]], int | None]] = [
    ("arena-33k", "arena-33k", {"question_id": "q", **JUDGED, "turn": 2, "tstamp": 1.5}, BOTH, 2),
    ("arena-100k", "arena-100k", {"question_id": "q", **LAST}, BOTH, 2),
    ("arena-140k", "arena-140k", {"id": "q", **LAST, "winner": "both_bad"}, BOTH, 2),
    (
        "parts",
        "arena-140k",
        {
            "id": "q",
            "conversation_a": talk(*map(parts, A)),
            "conversation_b": talk(*map(parts, B)),
            "winner": "model_b",
        },
        BOTH,
        1,
    ),
    (
        "mt-bench",
        "mt-bench",
        {"question_id": 81, **JUDGED, "winner": "model_a", "turn": 1},
        (["Hi"], ["Hello."], ["Go away."]),
        0,
    ),
    (
        "hh-rlhf",
        "chosen-rejected",
        {"chosen": transcript(*A), "rejected": transcript(*B)},
        BOTH,
        0,
    ),
    (
        "hh-rlhf with prompts",
        "chosen-rejected",
        {"prompt": transcript(*A[:3]) + "\n\nAssistant:", "chosen": "Well.", "rejected": "No."},
        (["Hi", "And?"], ["Hello.", "Well."], ["Hello.", "No."]),
        0,
    ),
    (
        "UltraFeedback",
        "chosen-rejected",
        {
            "prompt": "Hi",
            "prompt_id": "p",
            "chosen": talk("Hi", "Hello."),
            "rejected": talk("Hi", "Go away."),
            "score_chosen": 8.0,
        },
        (["Hi"], ["Hello."], ["Go away."]),
        0,
    ),
    (
        "RewardBench",
        "chosen-rejected",
        {"id": 7, "prompt": "Hi", "chosen": "Hello.", "rejected": "Go away.", "subset": "easy"},
        (["Hi"], ["Hello."], ["Go away."]),
        0,
    ),
    (
        "TRL",
        "chosen-rejected",
        {
            "prompt": [said("system", "Be kind."), *talk(*A[:3])],
            "chosen": [said("assistant", "Well.")],
            "rejected": [said("assistant", "No.")],
        },
        (["Hi", "And?"], ["Hello.", "Well."], ["Hello.", "No."]),
        0,
    ),
    (
        "TRL without prompts",
        "chosen-rejected",
        {"chosen": talk("Hi", "Hello."), "rejected": talk("Hi", "Go away.")},
        (["Hi"], ["Hello."], ["Go away."]),
        0,
    ),
    (
        "ShareGPT",
        "chosen-rejected",
        {
            side: [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": answer}]
            for side, answer in (("chosen", "Hello."), ("rejected", "Go away."))
        },
        (["Hi"], ["Hello."], ["Go away."]),
        0,
    ),
    (
        "wsdm",
        "wsdm",
        {"id": "w", "prompt": "Hi", "response_a": "x", "response_b": "[y]", "winner": "model_b"},
        (["Hi"], ["x"], ["[y]"]),
        1,
    ),
    (
        "arena",
        "arena",
        {
            **dict(zip(TEXTS, map(json.dumps, BOTH), strict=True)),
            "id": 1,
            "winner_model_a": 0,
            "winner_model_b": 0,
            "winner_tie": 1,
        },
        BOTH,
        2,
    ),
]


def test_every_card_is_tried() -> None:
    assert {layout for _, layout, *_ in KNOWN} == {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize(
    ("layout", "row", "texts", "label"),
    [known[1:] for known in KNOWN],
    ids=[known[0] for known in KNOWN],
)
@pytest.mark.parametrize("form", ["dicts", "parquet", "jsonl.gz", "csv", "lazy"])
def test_layouts_in_every_form_of_file(
    layout: str, row: dict[str, Any], texts: Any, label: int | None, form: str, tmp_path: Path
) -> None:
    source: Any = [row, row]
    if form in ("parquet", "lazy"):
        frame = pl.DataFrame(source, infer_schema_length=None)
        source = frame.lazy() if form == "lazy" else tmp_path / "rows.parquet"
        frame.write_parquet(tmp_path / "rows.parquet")
    elif form == "jsonl.gz":
        source = tmp_path / "rows.jsonl.gz"
        lines = "\n".join(json.dumps(row) for _ in range(2))
        source.write_bytes(gzip.compress(lines.encode()))
    elif form == "csv":
        source = tmp_path / "rows.csv"
        cells = {
            name: json.dumps(cell) if isinstance(cell, list) else cell for name, cell in row.items()
        }
        pl.DataFrame([cells, cells]).write_csv(source)
    found = recognise(source)
    assert found.schema.layout == layout
    schema, _ = settled(source, found.schema)
    as_given = BattleSchema.from_dict({**schema.to_dict(), "exchange": None})
    battles = read_battles(source, as_given)
    assert isinstance(battles, pl.LazyFrame)
    for read in battles.collect().select(*TEXTS, "label").rows():
        assert read == (*texts, label)
    # Twice the same row: its id is no id.
    assert schema.id is None
    assert read_battles(source, schema).collect()["id"].to_list() == [0, 1]


def test_images_are_left_out_and_counted() -> None:
    rows = [known[2] for known in KNOWN if known[0] == "parts"]
    schema = recognise(rows).schema
    assert images_left_out(rows, schema) == 8
    assert images_left_out([KNOWN[0][2]], recognise([KNOWN[0][2]]).schema) == 0


def test_chosen_answers_change_sides_by_seed_and_nothing_else() -> None:
    rows = [{"prompt": f"q{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(400)]
    schema, notes = settled(rows, recognise(rows).schema)
    assert "always stands first" in " ".join(notes)
    battles = read_battles(rows, schema).collect()
    assert 0.4 < (battles["label"] == 0).mean() < 0.6
    for read in battles.iter_rows(named=True):
        sides = (read["response_a"], read["response_b"])
        assert sides[read["label"]] == [f"good {read['id']}"]
        assert sides[1 - read["label"]] == [f"bad {read['id']}"]
    again = read_battles(pl.DataFrame(rows).lazy(), schema).collect(engine="streaming")
    assert again.equals(battles)
    other = BattleSchema.from_dict({**schema.to_dict(), "exchange": 1})
    assert not read_battles(rows, other).collect()["label"].equals(battles["label"])
    unlabelled = read_battles(rows, schema, outcomes=False).collect()
    assert "label" not in unlabelled.columns
    assert unlabelled["response_a"].to_list() == [[f"good {n}"] for n in range(400)]


@pytest.mark.parametrize(("winner", "place"), [("model_a", "first"), ("model_b", "second")])
def test_a_column_that_always_names_one_side_is_said_to_and_exchanged(
    winner: str, place: str
) -> None:
    row = {"prompt": "q", "response_a": "x", "response_b": "y", "winner": winner}
    rows = [{"id": number, **row} for number in range(50)]
    schema, notes = settled(rows, recognise(rows).schema)
    assert f"always stands {place}" in " ".join(notes)
    assert set(read_battles(rows, schema).collect()["label"]) == {0, 1}


WORDS = {
    0: ["model_a", "A", "Response A", "left", "0", " 0 ", "0.0"],
    1: ["model_b", "b", "response-b", "right", "1", "1.00", "+1"],
    2: ["tie", "Tie (bothbad)", "both_bad", "tie (both bad)", "2", "bothbad", "neither", "Draw"],
}


@settings(max_examples=60)
@given(
    drawn=st.lists(
        st.sampled_from([(word, label) for label, words in WORDS.items() for word in words]),
        min_size=1,
    )
)
def test_words_for_outcomes(drawn: list[tuple[str, int]]) -> None:
    rows = [{"prompt": "q", "response_a": "x", "response_b": "y", "winner": w} for w, _ in drawn]
    schema = recognise(rows).schema
    assert read_battles(rows, schema).collect()["label"].to_list() == [label for _, label in drawn]


@pytest.mark.parametrize("word", ["-1", -1, -1.0, "- 1", "-0.0"])
def test_the_sign_of_a_number_is_no_hyphen(word: Any) -> None:
    rows = [{"id": "x", "prompt": "q", "response_a": "x", "response_b": "y", "winner": word}]
    with pytest.raises(BattleError, match=r"not known: '?-"):
        check_battles(rows)


def test_own_words_replace_the_known_ones_and_unknown_ones_are_quoted() -> None:
    rows = [
        {"id": n, "prompt": "q", "response_a": "x", "response_b": "y", "winner": word}
        for n, word in enumerate(["gauche", "droite", "sais pas", None])
    ]
    outcome = LabelColumn("winner", a="gauche", b=("droite",))
    own = recognise(rows, given={"outcome": outcome}).schema
    with pytest.raises(BattleError, match="not known: 'sais pas', nothing") as caught:
        check_battles(rows, own)
    assert caught.value.rows == (2, 3)
    assert check_battles(rows[:2], own) == 2


def test_a_layout_may_be_asked_for_and_roles_be_given() -> None:
    rows = [{"q": "Hi", "good": "Hello.", "poor": "Go away.", "who": "m"}]
    given = {"prompt": "q", "response_a": "good", "response_b": "poor", "model_a": "who"}
    found = recognise(rows, given={**given, "outcome": ChosenFirst(), "id": None})
    battles = read_battles(rows, found.schema).collect()
    assert battles["prompt"].to_list() == [["Hi"]]
    assert battles["model_a"].to_list() == ["m"]
    assert recognise(rows, "wsdm", given).schema.layout == "wsdm"


def test_a_test_file_is_read_as_the_training_file_where_its_columns_fit() -> None:
    trained = recognise([known[2] for known in KNOWN if known[0] == "wsdm"]).schema
    test = [{"id": 1, "prompt": "Hi", "response_a": "x", "response_b": "y", "scored": True}]
    assert fitting(test, trained, outcomes=False).schema.outcome == trained.outcome
    other = [{"prompt": "Hi", "chosen": "x", "rejected": "y"}]
    assert fitting(other, trained, outcomes=False).schema.layout == "chosen-rejected"


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.jsonl", "rows.parquet"])
def test_a_folder_and_a_pattern_are_all_of_their_files(name: str, tmp_path: Path) -> None:
    for part in range(3):
        rows = [
            {"id": f"00{part}{row}", "prompt": "q", "response_a": "x", "response_b": "y"}
            for row in range(2)
        ]
        frame = pl.DataFrame(rows)
        path = tmp_path / f"{part}-{name}"
        if "csv" in name:
            text = frame.write_csv().encode()
            path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        elif "jsonl" in name:
            frame.write_ndjson(path)
        else:
            frame.write_parquet(path)
    expected = [f"00{part}{row}" for part in range(3) for row in range(2)]
    for source in (tmp_path, tmp_path / "*-rows.*", str(tmp_path / f"?-{name}")):
        assert check_battles(source) == 6
        assert read_battles(source).collect()["id"].to_list() == expected


def test_files_of_other_columns_are_no_parts_of_one(tmp_path: Path) -> None:
    row = {"id": "1", "prompt": "q", "response_a": "x", "response_b": "y"}
    pl.DataFrame([row]).write_csv(tmp_path / "a.csv")
    pl.DataFrame([{**row, "id": "2"}]).drop("response_a").write_parquet(tmp_path / "b.parquet")
    with pytest.raises(BattleError, match=r"b\.parquet has no column 'response_a', and a\.csv"):
        check_battles(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gz.csv", gzip.compress(b"id,prompt,response_a,response_b\n007,q,x,y\n", mtime=0)),
        ("plain.csv.gz", b"id,prompt,response_a,response_b\n007,q,x,y\n"),
        ("parquet.csv", None),
    ],
)
def test_a_file_is_read_as_what_it_is(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is None:
        frame = {"id": ["007"], "prompt": ["q"], "response_a": ["x"], "response_b": ["y"]}
        pl.DataFrame(frame).write_parquet(path)
    else:
        path.write_bytes(content)
    assert check_battles(path) == 1
    assert read_battles(path).collect().row(0)[:2] == ("007", ["q"])


def test_a_packed_file_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    lines = b"id,prompt,response_a,response_b\n" + b"1,q,x,y\n" * 500
    path.write_bytes(gzip.compress(lines)[:-12])
    with pytest.raises(BattleError, match=r"x\.csv\.gz: cannot be unpacked"):
        check_battles(path)


def test_a_file_packed_by_zstd(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["007"], "prompt": ["q"], "response_a": ["x"], "response_b": ["y"]})
    path = tmp_path / "rows.csv.zst"
    frame.write_csv(path, compression="zstd")
    assert read_battles(path).collect()["id"].to_list() == ["007"]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(BattleError, match=r"rows\.csv\.zst"):
        read_battles(path).collect()


def test_pandas_and_polars_and_dicts_give_the_same() -> None:
    generator = random.Random(1)
    rows = [
        {
            "id": number,
            "prompt": generator.choice(["Hi", "", "é"]),
            "response_a": "x",
            "response_b": None,
            "winner": generator.choice(["model_a", "model_b"]),
        }
        for number in range(20)
    ]
    expected = read_battles(rows).collect()
    assert read_battles(pl.DataFrame(rows)).collect().equals(expected)
    assert read_battles(pd.DataFrame(rows)).collect().equals(expected)
    assert read_battles(pd.DataFrame(rows, index=[0] * 20)).collect().equals(expected)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ([{"id": 1}], "list: has no column 'prompt'"),
        ([1, 2], "list: is nothing that battles are read from"),
        (None, "NoneType: is nothing"),
        (pl.DataFrame({"id": [1.0, float("nan")], **dict.fromkeys(TEXTS, "[]")}), "null .* rows 2"),
        (
            pl.DataFrame({"id": [timedelta(1)], **dict.fromkeys(TEXTS, "[]")}),
            r"column 'id' holds Duration",
        ),
        *(
            (pl.DataFrame({"id": [1], **dict.fromkeys(TEXTS, "[]"), role: [b"x"]}), f"'{role}' hol")
            for role in TEXTS
        ),
        ([{"id": 1, " prompt": "x"}], "it has id, ' prompt'"),
        (
            [{"id": 1, "conversation_a": {"role": "x"}, "conversation_b": {"role": "x"}}],
            "column 'conversation_a' holds Struct",
        ),
        (pl.DataFrame({"id": [[1]], **dict.fromkeys(TEXTS, "[]")}), r"column 'id' holds List"),
        (pd.DataFrame([["x", "y"]], columns=["prompt", "prompt"]), "'prompt' stands there twice"),
    ],
)
def test_errors_of_library_calls_name_source_and_column(source: Any, named: str) -> None:
    with pytest.raises(BattleError, match=named):
        check_battles(source)


def test_a_broken_cell_is_named_without_any_wrapper() -> None:
    frame = pl.DataFrame({"id": [6, 7], **{name: ["[]", "[]"] for name in TEXTS}}).with_columns(
        prompt=pl.Series(['["a"]', '["a"'])
    )
    with pytest.raises(BattleError, match=r"DataFrame: column 'prompt' is not.*first ids: 7"):
        read_battles(frame).collect()
    with pytest.raises(BattleError, match=r"LazyFrame: column 'prompt' is not.*first ids: 7"):
        read_battles(frame.lazy()).collect(engine="streaming")


def test_columns_whose_names_mean_something_inside() -> None:
    names = ("^p.*$", "*", "response_a", "a::b", "::row")
    frame = pl.DataFrame({name: [name] for name in names})
    schema = BattleSchema(
        id="::row", prompt="^p.*$", response_a="*", response_b="a::b", texts="plain"
    )
    read = read_battles(frame, schema).collect()
    assert read.row(0)[:4] == ("::row", ["^p.*$"], ["*"], ["a::b"])


def test_lazy_frames_stay_lazy() -> None:
    def never(frame: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("all rows were read")

    lists = {name: [["x"]] for name in TEXTS}
    frame = pl.LazyFrame({"id": [1], **lists}).map_batches(
        never, schema={"id": pl.Int64, **dict.fromkeys(TEXTS, pl.List(pl.String))}
    )
    assert isinstance(read_battles(frame), pl.LazyFrame)


PLAIN_ROWS = {"Prompt": ["a", "b"], "RESPONSE_A": ["x", "y"], " response_b": ["x", "y"]}


def test_names_may_be_written_in_another_case_or_with_blanks() -> None:
    frame = pl.DataFrame({" ID": ["7", "9"], **PLAIN_ROWS, "Winner ": ["model_a", "tie"]})
    battles = read_battles(frame).collect()
    assert battles["id"].to_list() == ["7", "9"]
    assert battles["label"].to_list() == [0, 2]
    exact = frame.with_columns(id=pl.Series(["1", "2"]))
    assert read_battles(exact).collect()["id"].to_list() == ["1", "2"]


def test_a_file_has_its_own_ids_also_where_the_training_rows_were_numbered() -> None:
    numbered = pl.DataFrame({"prompt": ["a"], "response_a": ["b"], "response_b": ["c"]})
    trained = recognise(numbered).schema
    assert trained.id is None
    found = fitting(numbered.with_columns(id=pl.lit("16824761")), trained).schema
    assert found.id == "id"
    assert fitting(numbered, trained, outcomes=False).schema.id is None


def test_bare_numbers_are_said_and_one_and_two_are_asked_about() -> None:
    texts = {"prompt": ["a", "b"], "response_1": ["x", "y"], "response_2": ["x", "y"]}
    known = pl.DataFrame({**texts, "preference": [0, 1]})
    assert any("0 counts as a" in said for said in settled(known, recognise(known).schema)[1])
    doubtful = pl.DataFrame({**texts, "preference": [1, 2]})
    with pytest.raises(BattleError, match="1 may be the first response or the second"):
        check_battles(doubtful, require_outcome=True)
    said = replace(recognise(doubtful).schema, outcome=LabelColumn("preference", "1", "2"))
    assert check_battles(doubtful, said, require_outcome=True) == 2
    assert read_battles(doubtful, said).collect()["label"].to_list() == [0, 1]


def test_which_of_two_ways_to_state_an_outcome_is_read_is_said() -> None:
    outcomes = {"winner_model_a": [1], "winner_model_b": [0], "winner_tie": [0]}
    frame = pl.DataFrame({"prompt": "a", "response_a": "b", "response_b": "c", **outcomes})
    reason = recognise(frame.with_columns(winner=pl.lit("model_b"))).reason
    assert reason.endswith("winner_model_a, winner_model_b, winner_tie say who won")


def test_errors_pass_between_processes_and_quiet_readers_between_threads(tmp_path: Path) -> None:
    error = BattleError("is x", source="f", column="c", rows=[7], remedy="do")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rows, type(again)) == (str(error), error.rows, BattleError)
    path = tmp_path / "battles.csv"
    path.write_text("id,prompt,response_a,response_b\n1,a,b,c\n")
    before = os.fstat(2)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(check_battles, [path] * 64)) == 64
    assert os.path.samestat(before, os.fstat(2))


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("id;prompt;response_a;response_b", "parts its columns by semicolons"),
        ("id\tprompt\tresponse_a\tresponse_b", "parts its columns by tabs"),
        ("id,prompt,response_a,response_b,,", "several columns without a name"),
    ],
)
def test_other_marks_between_columns_are_named(tmp_path: Path, header: str, sentence: str) -> None:
    path = tmp_path / "battles.csv"
    path.write_text(f"{header}\n1,a,b,c,,\n")
    with pytest.raises(BattleError, match=sentence):
        check_battles(path)


def test_ids_in_a_named_index_of_pandas_and_no_lists_of_ids(tmp_path: Path) -> None:
    rows = {"id": ["7", "9"], "prompt": ["a", "b"], "response_a": ["x", "y"], "response_b": "z"}
    frame = pd.DataFrame(rows)
    assert read_battles(frame.set_index("id")).collect()["id"].to_list() == ["7", "9"]
    assert read_battles(frame.drop(columns="id")).collect()["id"].to_list() == [0, 1]
    path = tmp_path / "columns.jsonl"
    path.write_text(json.dumps({name: list(values) for name, values in rows.items()}) + "\n")
    with pytest.raises(BattleError, match="an id is text or a whole number"):
        check_battles(path)
