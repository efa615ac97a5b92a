"""Features declared once: text, markdown, lexicon, prompt and overlap, with their pairings."""

from featlab.features.battle_features import BattleColumns
from featlab.features.catalogue import FAMILIES, FEATURES, feature_table
from featlab.features.columns import FeatureColumns
from featlab.features.feature import Feature, Scope
from featlab.features.pairing import PAIRINGS, Pairing
from featlab.features.text import Text
from featlab.features.text_features import PairColumns, TextColumns

__all__ = [
    "FAMILIES",
    "FEATURES",
    "PAIRINGS",
    "BattleColumns",
    "Feature",
    "FeatureColumns",
    "PairColumns",
    "Pairing",
    "Scope",
    "Text",
    "TextColumns",
    "feature_table",
]
