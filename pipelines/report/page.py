"""The report as one page: pictures, style and script inline, no address to fetch anything from.

Battles hold markup, control characters and text of any direction. All of it is
text here: escaped by the template, cut to a length a reader can bear, control
characters made visible, direction isolated. The page's policy lets run the one
script and apply the one style sheet whose hashes it states, and nothing else.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.evaluation.metrics import Interval
from pipelines.report.figure import Drawn
from pipelines.report.words import spaced

SHOWN_CHARACTERS = 1500
SHOWN_NUMBERS = 400

TALL = 4.0
"""Inches that divide tall figures from others, so that those of a row are alike."""

UNFOLDED = 2
"""Groups of example battles that come first, explained; the others are kinds of battles, folded."""

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
    """A battle to look at: what the voter chose, the stated probabilities of a, b and tie, and why.

    The `reasons` are families and what each adds to P(A) - P(B), the strongest first.
    """

    id: str
    model_a: str | None
    model_b: str | None
    outcome: str
    stated: tuple[float, ...]
    prompt: str
    response_a: str
    response_b: str
    reasons: Mapping[str, float] = field(default_factory=dict)

    @property
    def bars(self) -> list[tuple[str, float, float]]:
        """The reasons: a name, what it adds, and that as a share of the greatest."""
        most = max(map(abs, self.reasons.values()), default=0.0) or 1.0
        return [(spaced(name), effect, effect / most) for name, effect in self.reasons.items()]


@dataclass(frozen=True)
class Section:
    """A heading with its figures, and what had to be left out and why."""

    title: str
    figures: list[Drawn]
    left_out: list[tuple[str, str]]


@dataclass(frozen=True)
class Summary:
    """The first screen: what the run is, its scores, the leading figure, findings."""

    intro: str = ""
    scores: Mapping[str, Any] | None = None
    gain: Interval | None = None
    lead: Sequence[Drawn] = ()
    findings: Sequence[Drawn] = ()


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
    summary: Summary = Summary(),
    spreads: tuple[Sequence[Mapping[str, Any]], bytes] = ((), b""),
) -> str:
    """Return the page as HTML text.

    The `facts` say in small print what the run was. A slice's row links to the
    `examples` under its name. The `spreads` are every feature, and their CSV.
    """
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "shown": shown, "cell": _cell, "data": _data, "digest": _digest, "spaced": spaced,
        # No line begins with the sign of the number that ends the one before.
        "joined": lambda text: text.replace(" %", "\u00a0%"), "rows": _rows,
    }  # fmt: skip
    links = {heading: f"battles-{index}" for index, (heading, _) in enumerate(examples, 1)}
    return environment.get_template("page.html").render(
        title=title, facts=facts, sections=sections, examples=examples, summary=summary,
        spreads=spreads[0], spread_numbers=spreads[1], links=links, shown_numbers=SHOWN_NUMBERS,
        unfolded=UNFOLDED,
        style=(here / "page.css").read_text("utf-8"),
        script=(here / "page.js").read_text("utf-8"),
    )  # fmt: skip


def _rows(figures: Sequence[Drawn]) -> list[list[Drawn]]:
    """Deal figures into rows without holes: two or three of like height, or one and its table."""
    kinds: dict[tuple[bool, bool], list[Drawn]] = {}
    for figure in sorted(figures, key=lambda each: (not each.plot.opened, -each.plot.height)):
        kinds.setdefault((figure.plot.opened, figure.plot.height < TALL), []).append(figure)
    rows = []
    for alike in kinds.values():
        while alike:
            taken = 1 if alike[0].plot.opened else 2 if len(alike) in (2, 4) else 3
            rows.append(alike[:taken])
            alike = alike[taken:]
    return rows


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _cell(value: Any) -> str:
    """Return a number with four digits, anything else as `shown` shows it."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return shown(str(value), 120)
