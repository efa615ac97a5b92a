"""What an answer commits itself to: yes or no first, or that a model cannot say."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text

FAMILY = "stance"

VERDICTS = {
    "opens_with_yes": (
        r"(?:yes|yeah|yep|true|correct|indeed|absolutely|sí|oui|ja|sim|да|是|はい|네)\b|是的|はいそう",
        "opens with yes, in one of ten languages",
    ),
    "opens_with_no": (
        r"(?:no|not|nope|false|incorrect|unfortunately|non|nein|nee|não|нет|아니요)\b|不|いいえ",
        "opens with no, in one of ten languages",
    ),
}
"""Feature name -> (how it begins, meaning); Chinese and Japanese do not part words."""

_DISCLAIMERS = (
    r"as an ai|language model|real[- ]time|knowledge cutoff|i cannot (?:browse|access)|"
    r"i (?:don't|don’t|do not) have (?:personal|access|feelings|opinions|the ability)"
)

FEATURES = (
    *(
        Feature(
            name,
            partial(Text.begins, pattern=rf"^\W*(?:{verdict})", ignore_case=True),
            pl.UInt8,
            FAMILY,
            f"1 where it {meaning}",
            pairings=COUNT_PAIRINGS,
        )
        for name, (verdict, meaning) in VERDICTS.items()
    ),
    Feature(
        "disclaimers",
        partial(Text.count, pattern=_DISCLAIMERS, ignore_case=True, of="prose"),
        pl.UInt32,
        FAMILY,
        "what a model says that it is, has or knows not",
        pairings=COUNT_PAIRINGS,
    ),
)
