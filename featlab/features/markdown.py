"""Markdown and mathematics in prose: how a response is dressed.

Headers, lists and bold are counted as the Arena's own style control counts them
(Li, Angelopoulos and Chiang, "Does style matter?", LMSYS blog, 2024), outside
fenced code, where a comment would pass for a header.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "markdown"

_SPACE = r"(?:[ \t]|(?m:$))"

LINES = {
    "headers": (f"#{{1,6}}{_SPACE}", "lines that begin with # to ######"),
    "bullets": (f"[ \t]*[-*+]{_SPACE}", "lines that begin with - * or +, indented or not"),
    "numbered_items": (
        rf"[ \t]*[0-9]+\.{_SPACE}",
        "lines that begin with a number and a full stop, indented or not",
    ),
    "other_items": (
        f"[ \t]*(?:[•‣◦▪●]|[0-9]+[)、]|[a-zA-Z][.)]){_SPACE}",
        "lines that begin with a bullet character, a letter, or a number and a bracket",
    ),
    "block_quotes": (">", "lines that begin with >"),
    "horizontal_rules": (r"(?m:(?:-{3,}|\*{3,}|_{3,})$)", "lines of three or more - * or _"),
    "table_rows": (r"\|", "lines that begin with a vertical bar"),
}
"""Feature name -> (what the line begins with, meaning)."""

SPANS = {
    "bold_spans": (r"\*\*[^*\n]+\*\*|__[^_\n]+__", "spans in ** or __"),
    "italic_spans": (r"(?:^|[^*\\])\*[^*\s][^*\n]*\*", "spans in single *"),
    "inline_code_spans": (r"`[^`\n]+`", "spans in single backticks"),
    "web_links": (r"https?://", "http and https addresses"),
    "markdown_links": (r"\]\([^)\n]+\)", "links and images in [text](target) form"),
    "latex_spans": (
        r"\$\$|\\\(|\\\[|\\begin\{|\\frac|\$[^$\n ](?:[^$\n]*[^$\n ])?\$",
        "LaTeX delimiters, environments and fractions",
    ),
    "html_tags": (r"</?[a-zA-Z][^<>\n]*>", "HTML or XML tags"),
}
"""Feature name -> (regular expression, meaning)."""

_ALSO_OF_PROMPT = {"web_links", "latex_spans", "html_tags", "numbered_items"}


def _list_items(text: Text) -> pl.Expr:
    return text.feature("bullets") + text.feature("numbered_items")


def _list_line_share(text: Text) -> pl.Expr:
    return per(text.feature("list_items"), text.feature("newlines") + 1)


_feature = partial(Feature, family=FAMILY, pairings=COUNT_PAIRINGS)

FEATURES = (
    *(
        _feature(
            name,
            partial(search, pattern=pattern, of="prose"),
            pl.UInt32,
            meaning=meaning,
            scopes=(Scope.PROMPT, Scope.RESPONSE) if name in _ALSO_OF_PROMPT else (Scope.RESPONSE,),
        )
        for search, patterns in ((Text.count_lines, LINES), (Text.count, SPANS))
        for name, (pattern, meaning) in patterns.items()
    ),
    _feature("list_items", _list_items, pl.UInt32, meaning="bullets and numbered items together"),
    _feature("list_line_share", _list_line_share, pl.Float32, meaning="list items for each line"),
)
