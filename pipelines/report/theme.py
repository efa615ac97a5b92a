"""How every figure looks: narrow enough for a phone, in colours that everybody can tell apart."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from PIL import Image

# Okabe and Ito, "Color Universal Design", 2008.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, SKY, GREY = "#E69F00", "#56B4E9", "#767676"

SERIES = ((GREY, "o"), (VERMILLION, "s"), (BLUE, "D"), (GREEN, "^"))
"""Colour and marker of each series in turn, so that neither has to tell them apart alone."""

WIDTH = 4.8
"""Inches: one width for all, so that text stays legible where a phone shows it at 360 pixels."""

DPI = 200
TITLE_COLUMNS = 54
NOTE_COLUMNS = 88
LABEL_LENGTH = 36

THEME: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    # A dollar sign in the name of a model begins no formula.
    "text.parse_math": False,
}


def render(draw: Callable[[Canvas], None], title: str, note: str, height: float) -> bytes:
    """Return a figure as PNG: its finding above; units, n and the kind of interval below.

    `draw` is called with an empty figure; the height in inches includes both texts.
    """
    with mpl.rc_context(THEME), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        draw(canvas)
        left: Any = {"x": 0.01, "ha": "left"}
        canvas.suptitle(
            _lines(title, TITLE_COLUMNS), fontsize=9.5, fontweight="bold", color="#111111", **left
        )
        canvas.supxlabel(_lines(note, NOTE_COLUMNS), fontsize=6.5, color="#555555", **left)
        plain, small = io.BytesIO(), io.BytesIO()
        canvas.savefig(plain, format="png", dpi=DPI)
    # In 64 colours: a third of the bytes, and flat colours lose nothing.
    with Image.open(plain) as image:
        reduced = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    reduced.save(small, format="PNG", optimize=True)
    return small.getvalue()


def _lines(text: str, columns: int) -> str:
    # No line begins with the sign of the number that ends the one before.
    return textwrap.fill(text.replace(" %", "\u00a0%"), columns)
