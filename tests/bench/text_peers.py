"""Features and n-grams of texts beside other libraries: ``python -m tests.bench.text_peers``.

One column of responses, the same for all, in one process. Each library makes
what it makes by default; since they make different numbers of features, the
table states features a second (texts times features over seconds) beside the
processor seconds. Then n-grams, as the lexical signal reads them, beside
scikit-learn's, and a logistic regression on scikit-learn's.
"""

from __future__ import annotations

import argparse
import resource
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from feature_engine.text import TextFeatures as FeatureEngine
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from featlab import TextFeatures
from featlab.battles import joined_turns, read_battles
from featlab.signals.lexical.signal import CHARACTERS, WORDS
from tests.bench.features import battles_to_tile, machine

TEXTS = 2_000


@dataclass(frozen=True)
class Measured:
    """What a call gave, and what it cost."""

    value: Any
    seconds: float


def measured(work: Callable[[], Any], runs: int = 3) -> Measured:
    """The fastest of some calls, in processor seconds."""
    found = []
    for _ in range(runs):
        start = resource.getrusage(resource.RUSAGE_SELF)
        value = work()
        end = resource.getrusage(resource.RUSAGE_SELF)
        found.append((end.ru_utime + end.ru_stime) - (start.ru_utime + start.ru_stime))
    return Measured(value, min(found))


def the_pandas_way(frame: pd.DataFrame) -> pd.DataFrame:
    """Ten features as most notebooks make them."""
    text = frame["text"]
    words = text.str.split()
    return pd.DataFrame(
        {
            "characters": text.str.len(),
            "words": words.str.len(),
            "distinct_words": words.map(lambda found: len(set(found))),
            "sentences": text.str.count(r"[.!?](?:\s|$)"),
            "newlines": text.str.count("\n"),
            "commas": text.str.count(","),
            "question_marks": text.str.count(r"\?"),
            "digits": text.str.count(r"\d"),
            "capitals": text.str.count(r"[A-Z]"),
            "bullets": text.str.count(r"(?m)^\s*[-*] "),
        }
    )


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=TEXTS)
    options = parser.parse_args()
    source, raw = battles_to_tile()
    battles = read_battles(raw.head(options.texts)).collect()
    texts = battles.select(joined_turns("response_a").alias("text"))["text"]
    size = texts.str.len_bytes().sum() / 1e6
    own, theirs = texts.to_frame("text"), pd.DataFrame({"text": texts.to_list()})
    print(f"{len(texts)} responses of {source}, {size:.1f} MB; {machine()}")
    print("\n| features | of one text | processor seconds | features a second |\n|---|---|---|---|")
    for name, work in {
        "featlab TextFeatures": lambda: TextFeatures("text").fit_transform(own),
        f"feature_engine {version('feature_engine')} TextFeatures": lambda: FeatureEngine(
            "text", drop_original=True
        ).fit_transform(theirs),
        f"pandas {pd.__version__}, by hand": lambda: the_pandas_way(theirs),
    }.items():
        made = measured(work)
        width = made.value.shape[1]
        rate = len(texts) * width / made.seconds
        print(f"| {name} | {width} | {made.seconds:.2f} | {rate:,.0f} |", flush=True)
    listed = texts.to_list()
    sizes = {"analyzer": "char", "ngram_range": (1, 4)}, {"analyzer": "word", "ngram_range": (1, 2)}
    print("\n| n-grams | processor seconds | MB a second |\n|---|---|---|")
    for name, work in {
        "featlab SparseText, characters 1-4": lambda: CHARACTERS.vectors(texts),
        "scikit-learn HashingVectorizer, characters 1-4": lambda: HashingVectorizer(
            **sizes[0]
        ).transform(listed),
        "scikit-learn TfidfVectorizer, characters 1-4": lambda: TfidfVectorizer(
            **sizes[0]
        ).fit_transform(listed),
        "featlab SparseText, words 1-2": lambda: WORDS.vectors(texts),
        "scikit-learn TfidfVectorizer, words 1-2": lambda: TfidfVectorizer(
            **sizes[1]
        ).fit_transform(listed),
    }.items():
        seconds = measured(work, 1).seconds
        print(f"| {name} | {seconds:.2f} | {size / seconds:.1f} |", flush=True)
    won = (battles["label"] == 0).to_numpy().astype(np.int64)
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True).fit_transform(listed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds = measured(lambda: LogisticRegression(max_iter=300).fit(words, won), 1).seconds
    print(
        f"| and LogisticRegression on those words, {words.shape[1]:,} columns | {seconds:.2f} | |"
    )


if __name__ == "__main__":
    main()
