"""Features of battles: a prompt and two responses to it."""

from __future__ import annotations

from collections.abc import Iterable

from featlab.battles import TextFormat
from featlab.features import BattleColumns, Feature, FeatureColumns
from featlab.parity import Parity
from featlab.transformers.base import FeatureTransformer


class BattleFeatures(FeatureTransformer):
    """Features of battles, each with its parity under an exchange of the two responses.

    Columns are called by role, whatever the frame calls its columns:
    ``prompt__{feature}``, ``response_a__{feature}``, ``response_b__{feature}``,
    ``{feature}__{pairing}`` (``words__difference`` is a minus b) and
    ``responses__{feature}``.

    Parameters
    ----------
    prompt, response_a, response_b : str
        The frame's columns of these roles.
    families, features, extra_features
        Which features to keep, and your own ones, as `featlab.TextFeatures` takes them.
    texts : {"json_list", "plain"}
        Whether a string is a JSON list of turns, as in the Arena's files, or one
        text; columns of lists are taken as turns either way. Nulls are empty texts.

    Attributes
    ----------
    feature_names_in_ : ndarray of str
        The three text columns.
    n_features_in_ : int
        3.

    Examples
    --------
    >>> import polars as pl
    >>> from featlab import BattleFeatures
    >>> battles = pl.DataFrame(
    ...     {"prompt": ["Why?"], "response_a": ["So."], "response_b": ["Because. Really."]}
    ... )
    >>> features = BattleFeatures(features="sentences", texts="plain").fit(battles)
    >>> features.transform(battles)["sentences__difference"].item()
    -1.0
    >>> features.parity()["sentences__difference"]
    <Parity.ODD: 'odd'>
    """

    def __init__(
        self,
        prompt: str = "prompt",
        response_a: str = "response_a",
        response_b: str = "response_b",
        *,
        families: str | Iterable[str] | None = None,
        features: str | Iterable[str] | None = None,
        extra_features: Iterable[Feature] = (),
        texts: TextFormat = "json_list",
    ) -> None:
        self.prompt = prompt
        self.response_a = response_a
        self.response_b = response_b
        self.families = families
        self.features = features
        self.extra_features = extra_features
        self.texts = texts

    def parity(self) -> dict[str, Parity]:
        """Return column name -> what exchanging the responses does to it, for `featlab.swap`."""
        return self._fitted_columns().parity

    def _text_columns(self) -> list[str]:
        return [self.prompt, self.response_a, self.response_b]

    def _planned(self, texts: tuple[str, ...]) -> FeatureColumns:
        return BattleColumns(*self._chosen())
