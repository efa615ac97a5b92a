"""How every figure looks: narrow enough for a phone, in colours that everybody can tell apart.

A figure is drawn once and kept twice: as PNG with its title and note, and as
SVG for the page, whose colours are the page's own variables, light or dark.
"""

from __future__ import annotations

import io
import json
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from PIL import Image

# Okabe and Ito, "Color Universal Design", 2008.
BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
ORANGE, SKY, GREY = "#e69f00", "#56b4e9", "#767676"

INK, GRID, PAPER = "#1b1b1b", "#e6e6e6", "#ffffff"

VARIABLES = {
    BLUE: "blue", VERMILLION: "vermillion", GREEN: "green", ORANGE: "orange", SKY: "sky",
    GREY: "grey", INK: "ink", GRID: "grid", PAPER: "paper",
}  # fmt: skip
"""Colour -> the page's variable for it; page.css gives each a light and a dark value."""

SERIES = ((GREY, "o"), (VERMILLION, "s"), (BLUE, "D"), (GREEN, "^"))
"""Colour and marker of each series in turn, so that neither has to tell them apart alone."""

WIDTH = 4.6
"""Inches: 331 points, each of which a phone shows as a pixel or a little more."""

DPI = 200
TITLE_COLUMNS = 50
NOTE_COLUMNS = 80
LABEL_LENGTH = 30

TIPS = "tips:"
"""How the group id of marks begins that carry texts: a JSON list, one for each mark."""

THEME: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.color": PAPER,
    "text.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    # A dollar sign in the name of a model begins no formula.
    "text.parse_math": False,
}

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_DROPPED = {f"{_SVG}metadata", f"{_SVG}style"}


def render(
    draw: Callable[[Canvas], None], title: str, note: str, height: float, name: str
) -> tuple[bytes, str]:
    """Return a figure as PNG, its finding above and its note below, and as SVG without both.

    `draw` is called with an empty figure of the height in inches. Ids of the SVG
    begin with the name, which is unique on a page.
    """
    with mpl.rc_context(THEME | {"svg.hashsalt": name}), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        draw(canvas)
        svg, plain, small = io.StringIO(), io.BytesIO(), io.BytesIO()
        canvas.savefig(svg, format="svg", metadata={"Date": None})
        above, below = _lines(title, TITLE_COLUMNS), _lines(note, NOTE_COLUMNS)
        head, foot = 0.2 + 0.17 * above.count("\n") + 0.1, 0.12 * (2 + below.count("\n"))
        whole = head + height + foot
        canvas.set_size_inches(WIDTH, whole)
        canvas.text(0.01, 1 - 0.05 / whole, above, fontsize=10, fontweight="bold", va="top")
        canvas.text(0.01, 0.05 / whole, below, fontsize=7, color=GREY, va="bottom")
        layout: Any = canvas.get_layout_engine()
        keys = 0.0
        for legend in canvas.legends:
            keys = legend.get_window_extent().height / canvas.dpi
            legend.set_bbox_to_anchor((0, 0, 1, 1 - head / whole), canvas.transFigure)
        layout.set(rect=(0, foot / whole, 1, (height - keys) / whole))
        canvas.savefig(plain, format="png", dpi=DPI, facecolor=PAPER)
    # In 64 colours: a third of the bytes, and flat colours lose nothing.
    with Image.open(plain) as image:
        reduced = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    reduced.save(small, format="PNG", optimize=True)
    return small.getvalue(), inline_svg(svg.getvalue(), name)


def tips(texts: Sequence[str]) -> str:
    """Return the group id that gives marks, in their order, texts to show when pointed at."""
    return TIPS + json.dumps(list(texts))


def inline_svg(svg: str, name: str) -> str:
    """Return matplotlib's SVG for a page of a strict policy: no style, no colour of its own."""
    root = ElementTree.fromstring(svg)  # noqa: S314, matplotlib wrote it a moment ago
    ElementTree.register_namespace("", _SVG.strip("{}"))
    for element in root.iter():
        for child in [child for child in element if child.tag in _DROPPED]:
            element.remove(child)
        given = element.attrib
        style = given.pop("style", "")
        given |= dict(part.split(": ", 1) for part in style.split("; ") if ": " in part)
        for dropped in ("font-family", "stroke-linejoin"):
            given.pop(dropped, None)
        for key in ("fill", "stroke"):
            if given.get(key, "").startswith("#"):
                given[key] = f"var(--{VARIABLES[given[key]]})"
        for key in {"d", "x", "y", "transform"} & set(given):
            given[key] = re.sub(r"(\.\d\d)\d+", r"\1", " ".join(given[key].split()))
        if given.get("transform", "").startswith("rotate(-0 "):
            del given["transform"]
        if _LINK in given:
            given["href"] = given.pop(_LINK).replace("#", f"#{name}-")
        if "clip-path" in given:
            given["clip-path"] = given["clip-path"].replace("#", f"#{name}-")
        identity = given.pop("id", "")
        if identity.startswith(TIPS):
            marks = list(element.iter(f"{_SVG}use")) or list(element.iter(f"{_SVG}path"))
            for mark, text in zip(marks, json.loads(identity[len(TIPS) :]), strict=False):
                mark.set("data-tip", text)
        elif element.tag in (f"{_SVG}path", f"{_SVG}clipPath"):
            given |= {"id": f"{name}-{identity}"} if identity else {}
    del root.attrib["width"], root.attrib["height"]
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title"}
    text = ElementTree.tostring(root, "unicode").replace("\n", "")
    return re.sub(r">\s+<", "><", text)


def _lines(text: str, columns: int) -> str:
    # No line begins with the sign of the number that ends the one before.
    return textwrap.fill(text.replace(" %", "\u00a0%"), columns)
