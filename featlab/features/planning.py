"""Turn wanted columns into a lazy query that computes every shared part once.

Dependencies are read off the expressions themselves: an expression that needs
``prompt::words`` needs that view, and one that needs ``prompt__characters``
needs that feature. Parts are then added in layers, each layer one projection.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import polars as pl

from featlab.errors import FeatureError
from featlab.features.text import view_expression


def with_computed(
    frame: pl.LazyFrame,
    plan: Iterable[Mapping[str, pl.Expr]],
    wanted: Iterable[str],
    keep: Iterable[str] = (),
) -> pl.LazyFrame:
    """Select the columns `keep` of the frame, then the `wanted` ones, in that order.

    Parameters
    ----------
    frame : LazyFrame
        Holds the texts, as lists of turns.
    plan : iterable of mappings of str to Expr
        See `layers`.
    wanted, keep : iterable of str
        Names of the plan, and of the frame.
    """
    for layer in plan:
        frame = frame.with_columns(expression.alias(name) for name, expression in layer.items())
    return frame.select(*keep, *wanted)


def layers(
    wanted: Iterable[str], definitions: Mapping[str, pl.Expr], present: Container[str]
) -> list[dict[str, pl.Expr]]:
    """Plan what to compute in which projection: a layer needs `present` and the layers before it.

    Raises
    ------
    FeatureError
        When an expression needs a column that is nowhere defined, or itself.

    Examples
    --------
    >>> definitions = {"a": pl.col("x") + 1, "b": pl.col("a") * pl.col("x")}
    >>> [list(layer) for layer in layers(["b"], definitions, {"x"})]
    [['a'], ['b']]
    """
    depth: dict[str, int] = {}
    expressions: dict[str, pl.Expr] = {}
    visiting: set[str] = set()

    def visit(name: str) -> int:
        if name not in definitions and name in present:
            return 0
        expression = definitions[name] if name in definitions else view_expression(name)
        if expression is None:
            raise FeatureError(f"no column or feature '{name}'")
        if name in depth:
            return depth[name]
        if name in visiting:
            raise FeatureError(f"feature '{name}' is defined by itself")
        visiting.add(name)
        # The element of a list has the empty name.
        roots = [root for root in expression.meta.root_names() if root]
        depth[name] = 1 + max(map(visit, roots), default=0)
        visiting.remove(name)
        expressions[name] = expression
        return depth[name]

    for name in wanted:
        visit(name)
    layers: list[dict[str, pl.Expr]] = [{} for _ in range(max(depth.values(), default=0))]
    for name, level in depth.items():
        layers[level - 1][name] = expressions[name]
    return layers
