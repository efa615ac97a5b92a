"""Exchange the sides of battles at random, the same ones wherever and however they are read."""

from __future__ import annotations

import polars as pl

from featlab.battles.schema import BATTLE_PARITY

_MASK = (1 << 64) - 1


def exchanged_at_random(battles: pl.LazyFrame, seed: int) -> pl.LazyFrame:
    """Return battles about half of which are exchanged, outcome included.

    A row's number and the seed decide, by the mixing function of SplitMix64
    (Steele, Lea and Flood, 2014), which is the same on every machine.

    Examples
    --------
    >>> battles = pl.LazyFrame({"response_a": ["x"] * 1000, "response_b": ["y"] * 1000})
    >>> share = (exchanged_at_random(battles, 0).collect()["response_a"] == "y").mean()
    >>> 0.45 < share < 0.55
    True
    """
    names = battles.collect_schema().names()
    pairs = {
        name: name.replace("_a", "_b") if "_a" in name else name.replace("_b", "_a")
        for name in names
        if name in BATTLE_PARITY
    }
    exchanged = pl.col("::exchanged")
    columns = [
        pl.when(exchanged).then(pl.col(other)).otherwise(pl.col(name)).alias(name)
        if (other := pairs.get(name)) in names
        else pl.col(name)
        for name in names
    ]
    if "label" in names:
        label = pl.col("label")
        swapped = pl.when(exchanged & (label < 2)).then(1 - label).otherwise(label)
        columns[names.index("label")] = swapped.cast(pl.Int8).alias("label")
    return (
        battles.with_row_index("::row")
        .with_columns(_coin(pl.col("::row"), seed).alias("::exchanged"))
        .select(columns)
    )


def _coin(row: pl.Expr, seed: int) -> pl.Expr:
    state = (row.cast(pl.UInt64) + 1) * pl.lit(0x9E3779B97F4A7C15, pl.UInt64) + pl.lit(
        seed * 0xD1342543DE82EF95 & _MASK, pl.UInt64
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state // (1 << shift))) * pl.lit(factor, pl.UInt64)
    return (state // (1 << 31)) % 2 == 1
