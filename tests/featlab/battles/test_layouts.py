"""Every known layout is recognised from its columns and read as the battles that it holds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featlab.battles import (
    LAYOUTS,
    BattleSchema,
    ChosenFirst,
    fitting,
    images_left_out,
    read_battles,
    recognise,
    settled,
)
from featlab.battles.schema import TEXTS


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
