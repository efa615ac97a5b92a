"""A predictor in the hand: one battle, a file of them, a ranking, and the reasons.

>>> import models  # doctest: +SKIP
>>> model = models.load("runs/default")  # doctest: +SKIP
>>> model.predict_one("Is the sky blue?", "Yes, mostly.", "No.")  # doctest: +SKIP
Prediction(a=0.52, b=0.27, tie=0.21)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl

import models
from featlab.battles import PROBABILITIES, BattleSchema, Source, fitting, read_battles
from featlab.battles.schema import TEXTS
from featlab.errors import BattleError, BundleError, ConfigError
from models.stacking.bundle import MANIFEST, load_bundle
from models.stacking.explain import Explanation, explain_battle, family_effects
from models.stacking.predictor import Predictor

Conversation: TypeAlias = str | Sequence[str]
"""A text, or the turns of a conversation."""

_DTYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    **dict.fromkeys(TEXTS, pl.List(pl.String)),
}


class Prediction(NamedTuple):
    """The probabilities of the three outcomes."""

    a: float
    b: float
    tie: float


class LoadedPredictor:
    """What `models.load` returns; pickles by its folder, for worker processes.

    Parameters
    ----------
    ensemble : Predictor
    schema : BattleSchema
        How the training file was read.
    folder : Path
        The bundle.
    trust : tuple of str
        Modules that were trusted.
    given : mapping of str to Path
        Other model -> the file of its probabilities.
    """

    def __init__(
        self,
        ensemble: Predictor,
        schema: BattleSchema,
        folder: Path,
        trust: tuple[str, ...] = (),
        given: Mapping[str, Path] | None = None,
    ) -> None:
        self.ensemble = ensemble
        self.schema = schema
        self.folder = folder
        self.trust = trust
        self.given = dict(given or {})

    def __repr__(self) -> str:
        signals = ", ".join(self.ensemble.signals)
        return f"<LoadedPredictor of {self.folder}: {signals}>"

    def __reduce__(self) -> tuple[Callable[..., LoadedPredictor], tuple[Any, ...]]:
        return models.load, (str(self.folder), self.trust, self.given)

    def predict(
        self, battles: Source, on_batch: Callable[[int], None] | None = None
    ) -> pl.DataFrame:
        """Return ``id`` and the probabilities under the submission's names, in the same order.

        Parameters
        ----------
        battles : path, frame or sequence of dicts
            With prompt and both responses; rows are numbered where there is no id.
        on_batch : callable, optional
            Called with the number of predicted battles, after each batch.
        """
        ids, probabilities = self.ensemble.predict(self._asked(battles), on_batch)
        named = {
            PROBABILITIES[index]: probabilities[:, index]
            for index in range(len(self.ensemble.outcomes))
        }
        return pl.DataFrame({"id": ids, **named})

    def predict_one(
        self, prompt: Conversation, response_a: Conversation, response_b: Conversation
    ) -> Prediction:
        """Return the probabilities of one battle; a conversation may be given turn by turn."""
        battle = one_battle(prompt, response_a, response_b)
        _, probabilities = self.ensemble.predict(battle)
        return Prediction(*map(float, probabilities[0]))

    def rank(self, prompt: Conversation, responses: Sequence[Conversation]) -> pl.DataFrame:
        """Return the responses, best first, after every one met every other.

        Parameters
        ----------
        prompt : str or sequence of str
        responses : sequence of str, or of sequences of str
            At least two.

        Returns
        -------
        ``place``, ``response``, the number of the response in the order given,
        and ``share``: the expected share of wins, a tie counting half.

        Raises
        ------
        BattleError
            For fewer than two responses.
        """
        if isinstance(responses, str | Mapping):
            raise BattleError(f"are a list, not {type(responses).__name__}", source="responses")
        responses = list(responses)
        if len(responses) < 2:
            raise BattleError("ranking takes at least two", source="responses")
        pairs = list(combinations(range(len(responses)), 2))
        first, second = zip(*pairs, strict=True)
        battles = battles_of(
            [prompt] * len(pairs), [responses[a] for a in first], [responses[b] for b in second]
        )
        _, probabilities = self.ensemble.predict(battles)
        share = np.zeros(len(responses))
        for (a, b), (to_a, to_b, tie) in zip(pairs, probabilities, strict=True):
            share[a] += to_a + tie / 2
            share[b] += to_b + tie / 2
        share /= len(responses) - 1
        order = np.argsort(-share, kind="stable")
        return pl.DataFrame(
            {"place": np.arange(1, len(share) + 1), "response": order, "share": share[order]}
        )

    def score(self, prompt: Conversation, response: Conversation) -> float:
        """Return one response's own score: the log odds that it beats an empty response.

        Scores compare responses to one prompt. The ensemble is not additive, so
        the difference of two scores is near the log odds of their battle and not
        equal to them: `predict_one` says who wins, `rank` who wins among many.

        Raises
        ------
        ConfigError
            When the ensemble reads other models' probabilities, which are of
            battles and say nothing of a response alone.
        """
        scored = self._scores(one_battle(prompt, response, response))
        return float(scored["score_a"].item())

    def scores(self, battles: Source) -> pl.DataFrame:
        """Return ``id, score_a, score_b``: as `score`, of both responses of every battle.

        Parameters
        ----------
        battles : path, frame or sequence of dicts

        Raises
        ------
        ConfigError
            As `score` does.
        """
        return self._scores(self.read(battles))

    def _scores(self, battles: pl.LazyFrame) -> pl.DataFrame:
        if names := list(self.ensemble.given):
            raise ConfigError(
                f"no response has a score of its own where the ensemble reads {', '.join(names)}, "
                "which says nothing of one response; rank the responses, or train without --given"
            )
        ids, found = pl.Series("id", []), {}
        nothing = (pl.lit([""]).alias("response_b"), pl.lit(False).alias("response_b__null"))
        for side in ("a", "b"):
            own = {f"response_{side}": "response_a", f"response_{side}__null": "response_a__null"}
            against_nothing = battles.with_columns(
                pl.col(column).alias(name) for column, name in own.items()
            ).with_columns(nothing)
            ids, stated = self.ensemble.predict(against_nothing)
            found[f"score_{side}"] = np.log(stated[:, 0]) - np.log(stated[:, 1])
        return pl.DataFrame({"id": ids, **found})

    def explain(
        self, prompt: Conversation, response_a: Conversation, response_b: Conversation
    ) -> Explanation:
        """Return what each family of columns adds to P(A) - P(B); print it, or read its frames."""
        return explain_battle(self.ensemble, one_battle(prompt, response_a, response_b))

    def explain_all(
        self, battles: Source, on_battle: Callable[[int], None] | None = None
    ) -> pl.DataFrame:
        """Return ``id, family, margin, tie``: as `explain`, a row for each battle and family.

        Parameters
        ----------
        battles : path, frame or sequence of dicts
        on_battle : callable, optional
            Called with the number of explained battles, after each.
        """
        return family_effects(self.ensemble, self._asked(battles).collect(), on_battle)

    def read(self, battles: Source, *, outcomes: bool = False) -> pl.LazyFrame:
        """Return battles in the canonical columns.

        Parameters
        ----------
        battles : path, frame or sequence of dicts
            Read as the training file was where it has the same columns, and as
            recognised else (`featlab.battles.recognise`).
        outcomes : bool
            Whether they have outcomes, which are read too.
        """
        schema = self.schema_of(battles, outcomes=outcomes)
        return read_battles(battles, schema, outcomes=outcomes, require_outcome=outcomes)

    def _asked(self, battles: Source) -> pl.LazyFrame:
        """Return battles to predict, once it is clear what other models say of them."""
        found = self.read(battles)
        self.ensemble.look_for(found, with_ids=self.schema_of(battles).id is not None)
        return found

    def schema_of(self, battles: Source, *, outcomes: bool = False) -> BattleSchema:
        """Return how battles are read."""
        return fitting(battles, self.schema, outcomes=outcomes).schema


def one_battle(
    prompt: Conversation, response_a: Conversation, response_b: Conversation
) -> pl.LazyFrame:
    """Return one canonical battle."""
    return battles_of([prompt], [response_a], [response_b])


def battles_of(
    prompts: Sequence[Conversation], a: Sequence[Conversation], b: Sequence[Conversation]
) -> pl.LazyFrame:
    """Return canonical battles without ids, so that no file says anything of them.

    Raises
    ------
    BattleError
        When something is neither text nor turns.
    """
    # As `read_battles` makes them, which takes a tenth of the time of a single battle.
    columns: dict[str, list[Any]] = {"id": [None] * len(prompts)}
    for name, given in zip(TEXTS, (prompts, a, b), strict=True):
        turns = [_turns(text, name) for text in given]
        columns[name] = [[(turn or "").replace("\r\n", "\n") for turn in each] for each in turns]
        columns[f"{name}__null"] = [None in each for each in turns]
    return pl.LazyFrame(columns, schema_overrides=_DTYPES)


def _turns(text: Conversation | None, name: str) -> list[str | None]:
    """Return a conversation as turns; nothing at all is a turn that is null."""
    several = isinstance(text, Iterable) and not isinstance(text, str | bytes | Mapping)
    turns: list[Any] = [*text] if several and text is not None else [text]
    if wrong := [turn for turn in turns if turn is not None and not isinstance(turn, str)]:
        raise BattleError(f"holds {type(wrong[0]).__name__}, not text", source=name)
    return [None if turn is None else _whole(turn) for turn in turns]


def _whole(text: str) -> str:
    """Return a text with halves of characters put together, and lone ones as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def load(path: Path, trust: tuple[str, ...], given: Mapping[str, Path]) -> LoadedPredictor:
    """See `models.load`."""
    folder = path / "bundle" if (path / "bundle").is_dir() else path
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"{path} holds no bundle; train one with make train-ensemble")
    folder = folder.resolve()
    ensemble, schema = _loaded(folder, trust, (folder / MANIFEST).stat().st_mtime_ns)
    if unknown := sorted(given.keys() - set(ensemble.given)):
        raise ConfigError(f"{path} reads no probabilities of {', '.join(unknown)}")
    return LoadedPredictor(ensemble.with_given(given), schema, folder, trust, given)


@lru_cache(maxsize=2)
def _loaded(folder: Path, trust: tuple[str, ...], written: int) -> tuple[Predictor, BattleSchema]:
    """Load once a process, also where every task of a pool brings the predictor along."""
    return load_bundle(folder, trust)
