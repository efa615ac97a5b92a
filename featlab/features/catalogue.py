"""Every built-in feature, family by family, and the table that documents them.

>>> next(feature.meaning for feature in FEATURES if feature.name == "words")
'words, split at spaces and line feeds'
"""

from __future__ import annotations

import polars as pl

from featlab.features import (
    agreement,
    characters,
    code,
    compliance,
    ending,
    lexicon,
    markdown,
    newlines,
    overlap,
    prompt,
    punctuation,
    repetition,
    stance,
    verbosity,
)
from featlab.features.feature import Feature, checked

FEATURES: tuple[Feature, ...] = checked(
    (
        *verbosity.FEATURES,
        *punctuation.FEATURES,
        *newlines.FEATURES,
        *markdown.FEATURES,
        *lexicon.FEATURES,
        *characters.FEATURES,
        *prompt.FEATURES,
        *overlap.FEATURES,
        *code.FEATURES,
        *ending.FEATURES,
        *repetition.FEATURES,
        *stance.FEATURES,
        *agreement.FEATURES,
        *compliance.FEATURES,
    )
)
"""The built-in features in the order of their columns."""

FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(feature.family for feature in FEATURES))
"""The names users select by."""


def feature_table(features: tuple[Feature, ...] = FEATURES) -> pl.DataFrame:
    """List the features, one a row: name, family, dtype, scopes, pairings, meaning.

    Examples
    --------
    >>> feature_table().columns
    ['name', 'family', 'dtype', 'scopes', 'pairings', 'meaning']
    """
    return pl.DataFrame(
        {
            "name": [feature.name for feature in features],
            "family": [feature.family for feature in features],
            "dtype": [str(feature.dtype) for feature in features],
            "scopes": [", ".join(feature.scopes) for feature in features],
            "pairings": [
                ", ".join(pairing.name for pairing in feature.pairings) for feature in features
            ],
            "meaning": [feature.meaning for feature in features],
        }
    )
