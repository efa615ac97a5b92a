"""Battles: a prompt, two responses and an outcome, read from any file that holds them."""

from featlab.battles.checking import check_battles, explained, explained_texts
from featlab.battles.extra import TIE_KNOWN, WEIGHT, ExtraFile, read_extra, without_prompts_of
from featlab.battles.json_text import decode_json_lists
from featlab.battles.reading import read_battles, scan_source
from featlab.battles.schema import (
    ARENA,
    BATTLE_PARITY,
    OUTCOMES,
    PROBABILITIES,
    TIE,
    WSDM,
    BattleSchema,
    LabelColumn,
    OneHotColumns,
    swap_battles,
)
from featlab.battles.text_columns import TextFormat, holds_text, with_turns
from featlab.battles.turns import joined_turns, prompt_key

__all__ = [
    "ARENA",
    "BATTLE_PARITY",
    "OUTCOMES",
    "PROBABILITIES",
    "TIE",
    "TIE_KNOWN",
    "WEIGHT",
    "WSDM",
    "BattleSchema",
    "ExtraFile",
    "LabelColumn",
    "OneHotColumns",
    "TextFormat",
    "check_battles",
    "decode_json_lists",
    "explained",
    "explained_texts",
    "holds_text",
    "joined_turns",
    "prompt_key",
    "read_battles",
    "read_extra",
    "scan_source",
    "swap_battles",
    "with_turns",
    "without_prompts_of",
]
