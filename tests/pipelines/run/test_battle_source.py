"""Standard input is read as a file of the same bytes is."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from featlab.errors import BattleError
from pipelines.run.battle_source import read_source

HEADER = "id,prompt,response_a,response_b\n"


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (HEADER + "007,a,b,c\n\n1.10,a,b,c\n", ["007", "1.10"]),
        ('{"id": 1.10}\n\n{"id": "007"}\n', ["1.10", "007"]),
        ('[{"id": 1e5}]', ["1e5"]),
    ],
)
def test_ids_of_standard_input(monkeypatch: pytest.MonkeyPatch, given: str, ids: list[str]) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given.encode())))
    assert read_source("-")["id"].to_list() == ids


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (HEADER + "1,a\n", "standard input: has rows that are cut short: line 2"),
        ('{"id": 1}\n{"id"', "standard input: line 2 is no JSON"),
        ("", "standard input: the file is empty"),
    ],
)
def test_what_is_wrong_with_standard_input(
    monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given.encode())))
    with pytest.raises(BattleError, match=said):
        read_source("-")
