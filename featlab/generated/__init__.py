"""Generated battles: invented models, known true probabilities, a known best possible loss."""

from featlab.generated.battles import (
    RAW_COLUMNS,
    GeneratedBattles,
    Quirks,
    generate_battles,
    raw_cell,
)
from featlab.generated.choice import ChoiceModel, expected_log_loss, truth_matrix
from featlab.generated.folder import WrittenBattles, write_battles
from featlab.generated.personas import Family, Persona, make_personas, persona_of

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
    "raw_cell",
    "truth_matrix",
    "write_battles",
]
