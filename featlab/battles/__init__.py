"""Battles: a prompt, two responses and an outcome, read from anything that holds them."""

from featlab.battles.checking import check_battles, decode_once, explained, settled
from featlab.battles.extra import TIE_KNOWN, WEIGHT, ExtraFile, read_extra, without_prompts_of
from featlab.battles.json_text import decode_json_lists
from featlab.battles.layouts import LAYOUT_NAMES, LAYOUTS, Layout, Recognised, fitting, recognise
from featlab.battles.outcome_columns import ChosenFirst, LabelColumn, OneHotColumns
from featlab.battles.probability_files import read_probabilities
from featlab.battles.reading import images_left_out, read_battles
from featlab.battles.schema import (
    ARENA,
    BATTLE_PARITY,
    OUTCOMES,
    PROBABILITIES,
    TIE,
    WSDM,
    BattleSchema,
    swap_battles,
)
from featlab.battles.sources import Source, files_at, kind_of, scan_source
from featlab.battles.text_columns import TextFormat, holds_text, with_turns
from featlab.battles.turns import joined_turns, prompt_key

__all__ = [
    "ARENA",
    "BATTLE_PARITY",
    "LAYOUTS",
    "LAYOUT_NAMES",
    "OUTCOMES",
    "PROBABILITIES",
    "TIE",
    "TIE_KNOWN",
    "WEIGHT",
    "WSDM",
    "BattleSchema",
    "ChosenFirst",
    "ExtraFile",
    "LabelColumn",
    "Layout",
    "OneHotColumns",
    "Recognised",
    "Source",
    "TextFormat",
    "check_battles",
    "decode_json_lists",
    "decode_once",
    "explained",
    "files_at",
    "fitting",
    "holds_text",
    "images_left_out",
    "joined_turns",
    "kind_of",
    "prompt_key",
    "read_battles",
    "read_extra",
    "read_probabilities",
    "recognise",
    "scan_source",
    "settled",
    "swap_battles",
    "with_turns",
    "without_prompts_of",
]
