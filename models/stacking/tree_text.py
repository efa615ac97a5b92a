"""LightGBM's text of a model, read strictly before LightGBM reads it.

LightGBM believes what a text says of itself: an index that is out of range
reads or writes beyond its arrays, a cycle of nodes never ends. So a text from
elsewhere is let through only when every line of it is one that this project's
own models have, with as many numbers, in their range. What follows the trees is
of no use for predicting and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from featlab.errors import BundleError
from models.lightgbm_alone import lgb

MOST_LEAVES = 4_096
"""LightGBM descends a tree by recursion, and no search here goes beyond 48."""

_COUNT = rb"(?:0|[1-9][0-9]{0,8})"
_INTEGER = rb"(?:-?[1-9][0-9]{0,8}|0)"
_REAL = rb"-?[0-9]{1,20}(?:\.[0-9]{1,25})?(?:e[+-]?[0-9]{1,3})?"

_HEADER = re.compile(
    rb"tree\nversion=v4\nnum_class=(?P<classes>[23])\nnum_tree_per_iteration=(?P=classes)\n"
    rb"label_index=0\n"
    rb"max_feature_idx=(?P<last>" + _COUNT + rb")\nobjective=multiclass num_class:(?P=classes)\n"
    rb"feature_names=(?P<names>[^\n]+)\nfeature_infos=(?P<infos>[^\n]+)\n"
    rb"tree_sizes=(?P<sizes>" + _COUNT + rb"(?: " + _COUNT + rb")*)\n\n"
)
_INFO = re.compile(rb"none|\[" + _REAL + rb":" + _REAL + rb"\]")
_END = b"end of trees\n"

_INTEGERS, _REALS = (
    re.compile(rb"(?:" + number + rb"(?: " + number + rb")*)?") for number in (_INTEGER, _REAL)
)
_FIELDS = (
    ("num_leaves", _INTEGERS),
    ("num_cat", _INTEGERS),
    ("split_feature", _INTEGERS),
    ("split_gain", _REALS),
    ("threshold", _REALS),
    ("decision_type", _INTEGERS),
    ("left_child", _INTEGERS),
    ("right_child", _INTEGERS),
    ("leaf_value", _REALS),
    ("leaf_weight", _REALS),
    ("leaf_count", _INTEGERS),
    ("internal_value", _REALS),
    ("internal_weight", _REALS),
    ("internal_count", _INTEGERS),
    ("is_linear", _INTEGERS),
    ("shrinkage", _REALS),
)
_NUMERICAL_SPLITS = frozenset({b"0", b"2", b"4", b"6", b"8", b"10"})
"""Decision types of a threshold: where missing values go, and what counts as missing."""


def read_booster(text: bytes, names: Sequence[str], source: str) -> lgb.Booster:
    """Return the model of a text from anywhere.

    Parameters
    ----------
    text : bytes
    names : sequence of str
        The columns that it must know, in order.
    source : str
        Where it is from, for the error.

    Raises
    ------
    BundleError
        When it is no model that this project could have written.
    """
    try:
        return lgb.Booster(model_str=checked_text(text, names).decode())
    except (ValueError, lgb.basic.LightGBMError) as error:
        raise BundleError(f"{source}: is no model of this project: {error}; train again") from None


def checked_text(text: bytes, names: Sequence[str]) -> bytes:
    """Return the part of a model's text that predicts; a ValueError says what is wrong with it."""
    header = _HEADER.match(text)
    if header is None:
        raise ValueError("its header is another")
    known = " ".join(name.replace(" ", "_") for name in names).encode()
    if header["names"] != known or int(header["last"]) != len(names) - 1:
        raise ValueError("it was fitted on other columns")
    infos = header["infos"].split(b" ")
    if len(infos) != len(names) or not all(map(_INFO.fullmatch, infos)):
        raise ValueError("its ranges of columns are no ranges")
    sizes = [int(size) for size in header["sizes"].split(b" ")]
    if len(sizes) % int(header["classes"]):
        raise ValueError("it has not as many trees for every outcome")
    start = header.end()
    for number, size in enumerate(sizes):
        try:
            _check_tree(text[start : start + size], number, len(names))
        except ValueError as error:
            raise ValueError(f"tree {number}: {error}") from None
        start += size
    if not text.startswith(_END, start):
        raise ValueError("it does not end with its trees")
    return text[:start] + _END


def _check_tree(block: bytes, number: int, columns: int) -> None:
    lines = block.split(b"\n")
    if lines[0] != b"Tree=%d" % number or lines[-3:] != [b""] * 3:
        raise ValueError("does not fill its place")
    if len(lines) != len(_FIELDS) + 4:
        raise ValueError("has another number of lines")
    values: dict[str, bytes] = {}
    for (name, pattern), line in zip(_FIELDS, lines[1:-3], strict=True):
        key, _, value = line.partition(b"=")
        if key != name.encode() or not pattern.fullmatch(value):
            raise ValueError(f"{name} is no list of numbers")
        values[name] = value
    if (values["num_cat"], values["is_linear"]) != (b"0", b"0"):
        raise ValueError("is not of thresholds and constants")
    leaves = int(values["num_leaves"] or 0)
    if not 1 <= leaves <= MOST_LEAVES:
        raise ValueError(f"has {leaves} leaves")
    for name in ("num_leaves", "shrinkage", *_OF_LEAVES, *_OF_NODES):
        expected = leaves if name in _OF_LEAVES else leaves - 1 if name in _OF_NODES else 1
        count = len(values[name].split())
        # A tree of one leaf has no weight.
        if count != expected and not (name == "leaf_weight" and leaves == 1 and not count):
            raise ValueError(f"{name} has {count} numbers, not {expected}")
    if any(not 0 <= int(column) < columns for column in values["split_feature"].split()):
        raise ValueError("splits a column that is not there")
    if not _NUMERICAL_SPLITS.issuperset(values["decision_type"].split()):
        raise ValueError("splits by something else than a threshold")
    left, right = ([int(node) for node in values[f"{side}_child"].split()] for side in _SIDES)
    # Every leaf, and every node but the root, hangs from one node, which comes before it.
    hanging = [*range(-leaves, 0), *range(1, leaves - 1)] if leaves > 1 else []
    if sorted(left + right) != hanging or any(
        0 <= child <= node for side in (left, right) for node, child in enumerate(side)
    ):
        raise ValueError("its nodes make no tree")


_SIDES = ("left", "right")
_OF_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_OF_NODES = (
    *("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child"),
    *("internal_value", "internal_weight", "internal_count"),
)
