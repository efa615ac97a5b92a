"""Where the battles lie on the hub and on Kaggle."""

from __future__ import annotations

RELEASE = "lmarena-ai/arena-human-preference-55k"
COMPETITION = "llm-classification-finetuning"
