"""The report as one page: pictures inline, no script, no address to fetch anything from.

Battles hold markup, control characters and text of any direction. All of it is
text here: escaped by the template, cut to a length a reader can bear, control
characters made visible, direction isolated.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.report.figure import Drawn

SHOWN_CHARACTERS = 1500
SHOWN_NUMBERS = 40

# C0 without tab and line feed, DEL and C1: invisible, and U+0000 is no character in HTML.
_CONTROLS = {
    **{code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
# Overrides and embeddings could turn round what stands after them.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Example:
    """A battle to look at: what the voter chose, and the stated probabilities of a, b and tie."""

    id: str
    model_a: str
    model_b: str
    outcome: str
    stated: tuple[float, ...]
    prompt: str
    response_a: str
    response_b: str


@dataclass(frozen=True)
class Section:
    """A heading with its figures, and what had to be left out and why."""

    title: str
    figures: list[Drawn]
    left_out: list[tuple[str, str]]


def shown(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    r"""Return a text as it may stand on the page: cut, its invisible characters visible.

    Escaping is the template's work.

    Examples
    --------
    >>> shown("a\x00b"), shown("abcdef", limit=3)
    ('a␀b', 'abc… [3 more characters]')
    """
    rest = len(text) - limit
    cut = text if rest <= 0 else f"{text[:limit]}… [{rest:,} more characters]"
    visible = cut.replace("\r\n", "\n").translate(_CONTROLS)
    return _DIRECTIONS.sub(lambda match: f"[U+{ord(match.group()):04X}]", visible)


def render_page(
    title: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    examples: Sequence[tuple[str, Sequence[Example]]] = (),
) -> str:
    """Return the page as HTML text: facts of the run, figures, and battles under headings."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"shown": shown, "cell": _cell, "picture": _picture}
    template = environment.get_template("page.html")
    values = {"title": title, "facts": facts, "sections": sections, "examples": examples}
    return template.render(values, shown_numbers=SHOWN_NUMBERS)


def _picture(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"


def _cell(value: Any) -> str:
    """Return a number with four digits, anything else as `shown` shows it."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return shown(str(value), 120)
