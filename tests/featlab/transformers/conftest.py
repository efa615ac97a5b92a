from __future__ import annotations

import polars as pl
import pytest

TEXTS = {
    "prompt": ["What is it?", "Écris un poème", "", "list the colors", "2+2?", None],
    "response_a": ["Sure! It is **a**.", "# Titre\n\nmer", "a", "1. Red\n2. Blue", None, "👍"],
    "response_b": ["I can't say.", "I'm sorry.", "a", "- red\n- blue", "4!!", ""],
    "grade": [1, 2, 3, 4, 5, 6],
}


@pytest.fixture
def texts() -> pl.DataFrame:
    """Three text columns with nulls, and one column that is no text."""
    return pl.DataFrame(TEXTS)
