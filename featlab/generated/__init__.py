"""Generated battles: invented models, known true probabilities, a known best possible loss."""

from featlab.generated.battles import (
    RAW_COLUMNS,
    GeneratedBattles,
    Quirks,
    WrittenBattles,
    generate_battles,
    write_battles,
)
from featlab.generated.choice import ChoiceModel, expected_log_loss, truth_matrix
from featlab.generated.personas import Persona, make_personas, persona_of
from featlab.generated.vocabulary import Family

__all__ = [
    "RAW_COLUMNS",
    "ChoiceModel",
    "Family",
    "GeneratedBattles",
    "Persona",
    "Quirks",
    "WrittenBattles",
    "expected_log_loss",
    "generate_battles",
    "make_personas",
    "persona_of",
    "truth_matrix",
    "write_battles",
]
