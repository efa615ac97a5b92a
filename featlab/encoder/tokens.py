"""From conversations to token sequences of bounded length.

One sequence reads a prompt and one response, or several. Where a conversation
is too long, its last turn is first in line for the budget, earlier turns share
what is left, and of a text that must be cut its head and its tail are kept::

    [CLS] prompt 1 [SEP] response 1 [SEP] prompt 2 [SEP] response 2 [SEP]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from featlab.encoder.spec import EncoderSpec, TruncationPolicy
from featlab.errors import WeightsError

Ids = npt.NDArray[np.int32]

SMALLEST_TURN = 16
"""Tokens below which what is left of the budget is not worth an earlier turn."""

TEXTS_AT_ONCE = 8192


@dataclass(frozen=True)
class TokenSequences:
    """Token sequences and how long they were before they were cut.

    Parameters
    ----------
    ids : list of int32 arrays
        One array a sequence, special tokens included.
    full_lengths : int64 array of shape (n,)
        Tokens each sequence would have uncut.
    """

    ids: list[Ids]
    full_lengths: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each sequence as it is, shape (n,)."""
        return np.fromiter(map(len, self.ids), np.int64, len(self.ids))


class Tokenizer:
    """An encoder's own tokenizer, with this project's layout and truncation.

    Parameters
    ----------
    folder : Path
        The model folder (`featlab.encoder.weights.find_weights`).
    spec : EncoderSpec
        For its `max_tokens` and `truncation`.

    Raises
    ------
    WeightsError
        When the folder's tokenizer cannot be read.
    """

    def __init__(self, folder: Path, spec: EncoderSpec) -> None:
        from transformers import AutoTokenizer

        try:
            loaded: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            self.backend = loaded.backend_tokenizer
        except (OSError, ValueError, AttributeError) as error:
            raise WeightsError(
                f"{folder}: its tokenizer cannot be read; copy tokenizer.json and "
                "tokenizer_config.json of the model beside its weights"
            ) from error
        # Files saved for serving carry a length to cut and pad at; lengths are decided here.
        self.backend.no_truncation()
        self.backend.no_padding()
        self.loaded = loaded
        self.max_tokens = spec.max_tokens
        self.truncation = spec.truncation
        self.start = _special(loaded.cls_token_id, loaded.bos_token_id)
        self.separator = _special(loaded.sep_token_id, loaded.eos_token_id)
        self.padding = int(loaded.pad_token_id or 0)

    def texts(self, texts: Sequence[str]) -> TokenSequences:
        """Make one sequence a text: start, text, separator."""
        known = self._tokens(texts)
        found = [known[text] for text in texts]
        overhead = len(self.start) + len(self.separator)
        cut = (head_and_tail(ids, self.max_tokens - overhead, self.truncation) for ids in found)
        return TokenSequences(
            ids=[np.concatenate([self.start, ids, self.separator]) for ids in cut],
            full_lengths=np.asarray([len(ids) + overhead for ids in found], np.int64),
        )

    def conversations(
        self, prompts: Sequence[Sequence[str]], *responses: Sequence[Sequence[str]]
    ) -> TokenSequences:
        """Make one sequence a conversation: the turns of a prompt, and those of its responses.

        Parameters
        ----------
        prompts, responses : sequences of turns, all of length n
            A conversation may have fewer turns on one side; a missing turn
            counts as empty. Of several responses the first stands first in
            every turn.
        """
        known = {"": _NOTHING, **self._tokens(chain.from_iterable(chain(prompts, *responses)))}
        conversations = [
            [
                [known[text] for text in turn]
                for turn in zip_longest(prompt or [""], *answers, fillvalue="")
            ]
            for prompt, *answers in zip(prompts, *responses, strict=True)
        ]
        full_lengths = [
            len(self.start)
            + sum(len(text) + len(self.separator) for turn in turns for text in turn)
            for turns in conversations
        ]
        return TokenSequences(
            [self._laid_out(turns) for turns in conversations], np.asarray(full_lengths, np.int64)
        )

    def _tokens(self, texts: Iterable[str]) -> dict[str, Ids]:
        # Of each different text, without special tokens.
        distinct = list(dict.fromkeys(texts))
        known: dict[str, Ids] = {}
        for first in range(0, len(distinct), TEXTS_AT_ONCE):
            chunk = distinct[first : first + TEXTS_AT_ONCE]
            encodings = self.backend.encode_batch_fast(chunk, add_special_tokens=False)
            ids = (np.asarray(encoding.ids, np.int32) for encoding in encodings)
            known.update(zip(chunk, ids, strict=True))
        return known

    def _laid_out(self, turns: list[list[Ids]]) -> Ids:
        left = self.max_tokens - len(self.start)
        kept: list[Ids] = []
        for turn in reversed(turns):
            room = left - len(turn) * len(self.separator)
            if kept and room < min(SMALLEST_TURN, sum(map(len, turn))):
                break
            prompt, *answers = turn
            for_prompt, for_answers = shared_budget(
                len(prompt), sum(map(len, answers)), room, self.truncation.prompt_share
            )
            budgets = [for_prompt, *even_budgets([*map(len, answers)], for_answers)]
            parts = [
                part
                for text, budget in zip(turn, budgets, strict=True)
                for part in (head_and_tail(text, budget, self.truncation), self.separator)
            ]
            kept.append(np.concatenate(parts))
            left -= len(kept[-1])
        return np.concatenate([self.start, *reversed(kept)])


_NOTHING: Ids = np.empty(0, np.int32)


def shared_budget(prompt: int, response: int, budget: int, prompt_share: float) -> tuple[int, int]:
    """Decide how many tokens of a turn's prompt and of its response are kept.

    Each has its share; what one leaves unused goes to the other.

    Examples
    --------
    >>> shared_budget(prompt=400, response=900, budget=500, prompt_share=0.2)
    (100, 400)
    >>> shared_budget(prompt=30, response=900, budget=500, prompt_share=0.2)
    (30, 470)
    """
    own = round(budget * prompt_share)
    for_prompt = min(prompt, own + max(0, budget - own - response))
    return for_prompt, min(response, budget - for_prompt)


def even_budgets(lengths: Sequence[int], budget: int) -> list[int]:
    """Decide how many tokens of each of one or two texts are kept: as many of each as can be.

    Examples
    --------
    >>> even_budgets([400, 900], budget=500), even_budgets([30, 900], budget=500)
    ([250, 250], [30, 470])
    """
    if len(lengths) == 1:
        return [min(lengths[0], budget)]
    first, second = lengths
    kept = min(first, max(budget // 2, budget - second))
    return [kept, min(second, budget - kept)]


def head_and_tail(ids: Ids, budget: int, truncation: TruncationPolicy) -> Ids:
    """Keep at most `budget` tokens of a text: its head, and its tail.

    Examples
    --------
    >>> head_and_tail(np.arange(10, dtype=np.int32), 4, TruncationPolicy()).tolist()
    [0, 1, 8, 9]
    """
    if len(ids) <= budget:
        return ids
    head = round(budget * truncation.head_share)
    return np.concatenate([ids[:head], ids[len(ids) - (budget - head) :]])


def _special(*candidates: int | None) -> Ids:
    known = [token for token in candidates if token is not None]
    return np.asarray(known[:1], np.int32)
