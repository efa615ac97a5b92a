"""The same battles as every known layout holds them, with the columns of its owner's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

Row = dict[str, Any]
WORDS = ("model_a", "model_b", "tie")


def _talk(battle: Row, side: str, content: Callable[[str], Any] = str) -> list[Row]:
    turns = zip(battle["prompt"], battle[f"response_{side}"], strict=False)
    return [
        {"role": role, "content": content(text)}
        for pair in turns
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _part(text: str) -> list[Row]:
    return [{"type": "text", "text": text, "image": None, "mimeType": None}]


def _transcript(battle: Row, side: str) -> str:
    speakers = {"user": "Human", "assistant": "Assistant"}
    talk = _talk(battle, side)
    return "".join(f"\n\n{speakers[turn['role']]}: {turn['content']}" for turn in talk)


def _chosen(battle: Row) -> tuple[str, str]:
    return ("a", "b") if battle["label"] == 0 else ("b", "a")


def _arena(battle: Row, n: int) -> Row:
    texts = {name: json.dumps(battle[name]) for name in ("prompt", "response_a", "response_b")}
    wins = {f"winner_{word}": int(battle["label"] == k) for k, word in enumerate(WORDS)}
    return {"id": n, "model_a": battle["model_a"], "model_b": battle["model_b"], **texts, **wins}


def _wsdm(battle: Row, n: int) -> Row:
    return {
        "id": f"{n:064x}",
        "prompt": battle["prompt"][0],
        "response_a": battle["response_a"][0],
        "response_b": battle["response_b"][0],
        "winner": WORDS[battle["label"]],
        "model_a": battle["model_a"],
        "model_b": battle["model_b"],
        "language": "English",
    }


def _judged(battle: Row, n: int, tie: str) -> Row:
    return {
        "question_id": f"{n:032x}",
        "model_a": battle["model_a"],
        "model_b": battle["model_b"],
        "winner": tie if battle["label"] == 2 and n % 2 else WORDS[battle["label"]],
    }


def _arena_33k(battle: Row, n: int) -> Row:
    return {
        **_judged(battle, n, "tie (bothbad)"),
        "judge": f"arena_user_{n}",
        "conversation_a": _talk(battle, "a"),
        "conversation_b": _talk(battle, "b"),
        "turn": len(battle["prompt"]),
        "anony": True,
        "language": "English",
        "tstamp": 1682351591.1322 + n,
        "toxic_chat_tag": {"roberta-large": {"flagged": False, "probability": 0.5}},
    }


def _arena_100k(battle: Row, n: int) -> Row:
    return {
        **_judged(battle, n, "tie (bothbad)"),
        "conversation_a": _talk(battle, "a"),
        "conversation_b": _talk(battle, "b"),
        "turn": len(battle["prompt"]),
        "anony": True,
        "language": "English",
        "tstamp": 1718926161.5 + n,
        "conv_metadata": {"sum_user_tokens": 8, "bold_count_a": {"**": 1}},
        "is_code": False,
    }


def _arena_140k(battle: Row, n: int) -> Row:
    judged = _judged(battle, n, "both_bad")
    return {
        "id": judged.pop("question_id"),
        **judged,
        "evaluation_session_id": f"{n:08x}",
        "evaluation_order": 1,
        "conversation_a": _talk(battle, "a", _part),
        "conversation_b": _talk(battle, "b", _part),
        "full_conversation": [{"user": {"role": "user", "content": _part(battle["prompt"][0])}}],
        "conv_metadata": {"turns": len(battle["prompt"])},
        "category_tag": {"math_v0.1": {"math": False}},
        "language": "en",
        "is_code": False,
        "timestamp": "2025-05-02 12:00:00",
    }


def _mt_bench(battle: Row, n: int) -> Row:
    return {
        **_judged(battle, n, "tie"),
        "question_id": 81 + n,
        "judge": f"expert_{n % 5}",
        "conversation_a": _talk(battle, "a"),
        "conversation_b": _talk(battle, "b"),
        "turn": 1,
    }


def _hh_rlhf(battle: Row, n: int) -> Row:
    chosen, rejected = _chosen(battle)
    return {"chosen": _transcript(battle, chosen), "rejected": _transcript(battle, rejected)}


def _ultrafeedback(battle: Row, n: int) -> Row:
    chosen, rejected = _chosen(battle)
    return {
        "prompt": battle["prompt"][0],
        "prompt_id": f"{n:064x}",
        "chosen": _talk(battle, chosen)[:2],
        "rejected": _talk(battle, rejected)[:2],
        "messages": _talk(battle, chosen)[:2],
        "score_chosen": 8.5,
        "score_rejected": 6.0,
    }


def _rewardbench(battle: Row, n: int) -> Row:
    chosen, rejected = _chosen(battle)
    return {
        "prompt": battle["prompt"][0],
        "chosen": battle[f"response_{chosen}"][0],
        "chosen_model": battle[f"model_{chosen}"],
        "rejected": battle[f"response_{rejected}"][0],
        "rejected_model": battle[f"model_{rejected}"],
        "subset": "alpacaeval-easy",
        "id": n,
    }


LAYOUTS: dict[str, tuple[Callable[[Row, int], Row], str, bool]] = {
    "arena": (_arena, ".csv", True),
    "wsdm": (_wsdm, ".parquet", False),
    "arena-33k": (_arena_33k, ".parquet", True),
    "arena-100k": (_arena_100k, ".parquet", True),
    "arena-140k": (_arena_140k, ".parquet", True),
    "mt-bench": (_mt_bench, ".parquet", True),
    "hh-rlhf": (_hh_rlhf, ".jsonl.gz", False),
    "UltraFeedback": (_ultrafeedback, ".parquet", False),
    "RewardBench": (_rewardbench, ".parquet", False),
}
"""Name -> how a battle is written, the ending of its owner's files, whether it holds ties."""


def write_layout(name: str, battles: pl.DataFrame, home: Path) -> Path:
    """Write canonical battles, of which none is empty, as one file of a layout.

    Into a folder, as ``train`` with its owner's ending, or as the file that is named.
    """
    write, ending, ties = LAYOUTS[name]
    kept = battles.filter(pl.lit(ties) | (pl.col("label") < 2))
    rows = [write(battle, n) for n, battle in enumerate(kept.iter_rows(named=True))]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    path = home if home.suffix else home / f"train{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_ndjson(path, compression="gzip" if path.suffix == ".gz" else "uncompressed")
    return path
