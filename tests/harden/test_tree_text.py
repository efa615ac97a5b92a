"""LightGBM's text, whose own reader trusts it: what would crash it does not reach it."""

from __future__ import annotations

import numpy as np
import pytest

from featlab.errors import BundleError
from models.stacking.tree_text import checked_text, read_booster

NAMES = ("x", "y")
TREE = """num_leaves=3
num_cat=0
split_feature=0 1
split_gain=1 1
threshold=0.5 0.5
decision_type=2 2
left_child=-1 -2
right_child=1 -3
leaf_value=0.1 0.2 0.3
leaf_weight=1 1 1
leaf_count=1 1 1
internal_value=0 0
internal_weight=0 0
internal_count=3 2
is_linear=0
shrinkage=1


"""


def model(tree: str = TREE, **header: str) -> bytes:
    trees = [f"Tree={number}\n{text}" for number, text in enumerate([tree, TREE, TREE])]
    lines = {
        "version": "v4",
        "num_class": "3",
        "num_tree_per_iteration": "3",
        "label_index": "0",
        "max_feature_idx": "1",
        "objective": "multiclass num_class:3",
        "feature_names": "x y",
        "feature_infos": "[0:1] [0:1]",
        "tree_sizes": " ".join(str(len(text)) for text in trees),
        **header,
    }
    stated = "".join(f"{key}={value}\n" for key, value in lines.items() if value != "left out")
    return f"tree\n{stated}\n{''.join(trees)}end of trees\n\nparameters:\n".encode()


def test_a_model_of_ours_is_read_without_what_follows_its_trees() -> None:
    assert checked_text(model(), NAMES).endswith(b"end of trees\n")
    predicted = read_booster(model(), NAMES, "0.txt").predict(np.zeros((1, 2)))
    assert predicted == pytest.approx(np.full((1, 3), 1 / 3))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split_feature=0 1", "split_feature=0 99999"),
        ("split_feature=0 1", "split_feature=0 -1"),
        ("split_feature=0 1", "split_feature=0"),
        ("left_child=-1 -2", "left_child=77 -2"),
        ("left_child=-1 -2", "left_child=-99 -2"),
        ("left_child=-1 -2", "left_child=-1 0"),
        ("right_child=1 -3", "right_child=0 -3"),
        ("right_child=1 -3", "right_child=1 -2"),
        ("num_leaves=3", "num_leaves=4"),
        ("num_leaves=3", "num_leaves=0"),
        ("num_leaves=3", "num_leaves=2147483647"),
        ("num_cat=0", "num_cat=1"),
        ("decision_type=2 2", "decision_type=1 2"),
        ("leaf_value=0.1 0.2 0.3", "leaf_value=0.1 0.2 nan"),
        ("leaf_value=0.1 0.2 0.3", "leaf_value=0.1 0.2"),
        ("is_linear=0", "is_linear=1"),
        ("internal_count=3 2", "internal_count=3 2 1"),
        ("shrinkage=1", "shrinkage="),
    ],
)
def test_a_tree_that_leads_beyond_its_arrays_is_refused(old: str, new: str) -> None:
    assert old in TREE
    with pytest.raises(BundleError, match="tree 0"):
        read_booster(model(TREE.replace(old, new)), NAMES, "0.txt")


@pytest.mark.parametrize(
    "header",
    [
        {"tree_sizes": "left out"},
        {"tree_sizes": "1 2 3"},
        {"tree_sizes": "1000000 1 1"},
        {"num_tree_per_iteration": "0"},
        {"num_class": "2"},
        {"max_feature_idx": "5"},
        {"objective": "binary"},
        {"feature_names": "x"},
        {"feature_names": "y x"},
        {"feature_infos": "[0:1]"},
    ],
)
def test_a_header_that_lies_is_refused(header: dict[str, str]) -> None:
    with pytest.raises(BundleError, match=r"0\.txt"):
        read_booster(model(**header), NAMES, "0.txt")
