"""Headers, lists, bold and code are counted as the Arena's style control defines them.

The definitions, in plain Python: fenced code is taken out, then lines are
matched whose first mark is one of headers or lists, and spans of bold.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.features import BattleColumns

FENCED = re.compile(r"```[^`]*```")
DEFINITIONS = {
    "headers": re.compile(r"^#{1,6}\s", re.MULTILINE),
    "bullets": re.compile(r"^\s*[-*+]\s", re.MULTILINE),
    "numbered_items": re.compile(r"^\s*\d+\.\s", re.MULTILINE),
    "bold_spans": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
}
COLUMNS = BattleColumns(names=[*DEFINITIONS, "list_items", "fences", "code_characters"])

TEXTS = (
    "# One\n## Two\n###### Six\n####### seven\n#tag\n #indented\n",
    "- a\n* b\n+ c\n  - d\n\t* e\n        - f\n-g\n",
    "1. a\n 2. b\n10. c\n123. d\n1) e\n1.f\n3.\t g\n",
    "**a** __b__ **c d** ** ** **e\nf** __g_h__ ***i***\n",
    "Text\n\n```python\n# no header\n- no item\n1. none\n**none**\n```\n\n# Header\n- item\n",
    "```\n# a\n```\n# b\n```sh\n# c\n```\n## d",
    "Inline ```# a``` and `# b`\n# c",
    "1. a\n\n   ```js\n   // b\n   ```\n\n2. c\n   - d\n",
    "- **a**: b\n- **c**: d\n\n\n- e\n\n# f\n\n\n## g\n",
    "Über\n# Größe\n- é\n1. 漢字\n**жирный**\n# 标题\n",
    "",
    "no markdown at all",
)


def style(texts: list[str], name: str) -> list[int]:
    return [len(DEFINITIONS[name].findall(FENCED.sub("``````", text))) for text in texts]


def computed(answers: list[list[str]]) -> pl.DataFrame:
    battles = pl.DataFrame({"response_a": answers}, schema={"response_a": pl.List(pl.String)})
    battles = battles.with_row_index("id").with_columns(prompt=[], response_b=[])
    return COLUMNS.compute(read_battles(battles)).collect()


@pytest.mark.parametrize("name", DEFINITIONS)
def test_texts_written_for_it(name: str) -> None:
    found = computed([[text] for text in TEXTS])[f"response_a__{name}"].to_list()
    assert found == style(list(TEXTS), name)
    assert sum(found) > 5


def test_lists_are_both_kinds() -> None:
    found = computed([[text] for text in TEXTS])
    kinds = [style(list(TEXTS), name) for name in ("bullets", "numbered_items")]
    assert found["response_a__list_items"].to_list() == list(map(sum, zip(*kinds, strict=True)))


def test_code_blocks_are_what_prose_leaves_out() -> None:
    found = computed([[text] for text in TEXTS])
    blocks = [FENCED.findall(text) for text in TEXTS]
    assert found["response_a__fences"].to_list() == [2 * len(block) for block in blocks]
    sizes = [sum(map(len, block)) for block in blocks]
    assert found["response_a__code_characters"].to_list() == sizes


def test_an_open_fence_runs_to_the_end_of_its_turn() -> None:
    answers = [["# a\n```\n# b\n- c\n", "# d\n- e\n"], ["```\n# a", "```\n# b"], ["a", "b"]]
    found = computed(answers)
    assert found["response_a__headers"].to_list() == [2, 0, 0]
    assert found["response_a__bullets"].to_list() == [1, 0, 0]
    assert found["response_a__code_characters"].to_list() == [12, 14, 0]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_real_answers(name: str, real_data: Path) -> None:
    battles = read_battles(real_data / "arena" / "train.csv").collect()
    texts = ["\n\n".join(turns) for turns in battles["response_a"].to_list()]
    found = COLUMNS.compute(battles.lazy()).collect()[f"response_a__{name}"].to_numpy()
    assert np.corrcoef(found, style(texts, name))[0, 1] > 0.99
