"""scikit-learn transformers over the features: single texts, pairs of texts, battles."""

from featlab.transformers.battles import BattleFeatures
from featlab.transformers.frames import FrameError
from featlab.transformers.pairs import PairFeatures
from featlab.transformers.texts import TextFeatures

__all__ = ["BattleFeatures", "FrameError", "PairFeatures", "TextFeatures"]
