"""Features declared once: text, markdown, lexicon, prompt and overlap, with their pairings."""

from featlab.features.battle_features import BattleColumns, Column
from featlab.features.catalogue import FAMILIES, FEATURES, feature_table
from featlab.features.feature import Feature, Scope
from featlab.features.pairing import PAIRINGS, Pairing
from featlab.features.text import Text

__all__ = [
    "FAMILIES",
    "FEATURES",
    "PAIRINGS",
    "BattleColumns",
    "Column",
    "Feature",
    "Pairing",
    "Scope",
    "Text",
    "feature_table",
]
