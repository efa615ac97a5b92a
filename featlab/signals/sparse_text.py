"""Texts as sparse rows of hashed n-grams, of words or of characters, at about 10 MB/s a core.

Every n-gram is a span of one long array of code points, and the hash of any
span is a difference of two prefix sums (Rabin and Karp's rolling hash, here
modulo 2^64), so a whole chunk of texts is hashed by a few array operations and
no loop over words. There is no vocabulary to keep or to leak: a text's row
depends on that text alone, bit for bit, whatever stands beside it.

R. M. Karp and M. O. Rabin, "Efficient randomized pattern-matching algorithms",
IBM Journal of Research and Development 31(2), 1987. K. Weinberger et al.,
"Feature hashing for large scale multitask learning", ICML 2009.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from featlab.errors import ConfigError
from featlab.threads import in_threads

Words = NDArray[np.uint64]

_MULTIPLIER = 0x9E3779B97F4A7C15
_INVERSE = pow(_MULTIPLIER, -1, 2**64)
MOST_CHARACTERS = 1_000_000
"""Of a text; what follows is not read, so that one text cannot take gigabytes."""
_CHUNK_CHARACTERS = 1 << 15
"""Hashed at once: few enough for every array of them to stay in a core's cache."""
_CHUNK_TEXTS = 1 << 14
_FEWEST_POWERS = 1 << 18
_EDGE = "\n"
_LOGARITHMS = (1.0 + np.log(np.arange(1, 4097, dtype=np.float64))).astype(np.float32)


@dataclass(frozen=True)
class SparseText:
    """Which n-grams of a text are counted, and into how many buckets.

    Parameters
    ----------
    unit : {"word", "char"}
        Words are runs of letters and digits. Characters are everything, white
        space included, with a line feed put before and after the text so that
        its first and last characters are told from the same ones inside it.
    shortest, longest : int
        The n-grams' lengths in units, both inclusive.
    bits : int
        There are 2**bits buckets, at most 2**30.

    Raises
    ------
    ConfigError
        When the unit is another, or the lengths or the bits are out of range.

    Examples
    --------
    >>> words = SparseText("word", 1, 2, bits=10)
    >>> rows = words.vectors(pl.Series(["to be or not to be", ""]))
    >>> rows.shape, rows.nnz
    ((2, 1024), 8)
    """

    unit: Literal["word", "char"]
    shortest: int = 1
    longest: int = 2
    bits: int = 18

    def __post_init__(self) -> None:
        if not (
            self.unit in ("word", "char")
            and 1 <= self.shortest <= self.longest
            and 1 <= self.bits <= 30
        ):
            raise ConfigError(
                f"{self}: give unit 'word' or 'char', 1 <= shortest <= longest, and 1 to 30 bits"
            )

    @property
    def buckets(self) -> int:
        """Return the number of columns."""
        return 1 << self.bits

    def vectors(self, texts: pl.Series) -> sparse.csr_matrix:
        """Return unit-length rows of 1 + log(count), so that a text's length drops out.

        Parameters
        ----------
        texts : Series of String, length n
            Their case is ignored; null counts as the empty text, and what
            follows the first `MOST_CHARACTERS` of a text does not count.

        Returns
        -------
        csr_matrix of float32, shape (n, buckets), indices sorted in each row;
        a text without n-grams has an empty row.

        Examples
        --------
        >>> rows = SparseText("char", 1, 3, bits=12).vectors(pl.Series(["abc", "abcabc"]))
        >>> bool(np.allclose(sparse.linalg.norm(rows, axis=1), 1))
        True
        """
        # One query, since its planning is most of a single text's time.
        read = pl.DataFrame({"text": texts}).select(
            pl.col("text").fill_null("").str.head(MOST_CHARACTERS).str.to_lowercase()
        )
        chunks = _chunks(read.to_series())
        none = sparse.csr_matrix((0, self.buckets), dtype=np.float32)
        return sparse.vstack([none, *in_threads(self._chunk_vectors, chunks)], format="csr")

    def _chunk_vectors(self, texts: list[str]) -> sparse.csr_matrix:
        if self.unit == "word":
            hashed = _Spans(texts).words(self)
        else:
            hashed = _Spans([f"{_EDGE}{text}{_EDGE}" for text in texts]).characters(self)
        # Row and bucket in one number, which sorts twice as fast where it has half the bits, and
        # three times as fast in Polars as in NumPy.
        narrow = self.bits + (len(texts) - 1).bit_length() <= 32
        key: type[Any] = np.uint32 if narrow else np.uint64
        unsorted = np.concatenate(
            [
                (text.astype(key) << key(self.bits))
                | (_mixed(code) >> np.uint64(64 - self.bits)).astype(key)
                for text, code in hashed
            ]
        )
        keys = pl.Series(unsorted).sort(multithreaded=False).to_numpy()
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
        counts = np.minimum(np.diff(first, append=len(keys)), len(_LOGARITHMS))
        values = _LOGARITHMS[counts - 1]
        distinct = keys[first]
        row = (distinct >> key(self.bits)).astype(np.int64)
        squares = np.bincount(row, np.square(values, dtype=np.float64), len(texts))
        values /= np.sqrt(squares).astype(np.float32)[row]
        bucket = (distinct & key(self.buckets - 1)).astype(np.int32)
        ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(texts)))])
        return sparse.csr_matrix(
            (values, bucket, ends.astype(np.int32)), shape=(len(texts), self.buckets)
        )


class _Spans:
    """The characters of some texts in one row, ready to hash any stretch of them.

    With c the characters' codes, k an odd multiplier and
    S[i] = sum of c[j] k^j over j < i, the stretch from i to j has the hash
    (S[j] - S[i]) k^-i modulo 2^64, wherever it stands.
    """

    def __init__(self, texts: list[str]) -> None:
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        self.codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
        self.text = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
        powers, self.inverse_powers = _powers(
            max(_FEWEST_POWERS, 1 << len(self.codes).bit_length())
        )
        terms = _mixed(self.codes.astype(np.uint64) + np.uint64(1)) * powers[: len(self.codes)]
        self.sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])

    def hashes(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> Words:
        """Return the hash of the characters from `start` up to, not including, `end`."""
        hashed: Words = (self.sums[end] - self.sums[start]) * self.inverse_powers[start]
        return hashed

    def characters(self, spec: SparseText) -> Iterator[tuple[NDArray[np.int32], Words]]:
        """Yield for each length every n-gram's text and hash."""
        for length in range(spec.shortest, spec.longest + 1):
            last = max(len(self.codes) - length + 1, 0)
            inside = self.text[:last] == self.text[len(self.text) - last :]
            # Slices, not indices: almost every n-gram lies inside a text.
            code = self.sums[len(self.sums) - last :] - self.sums[:last]
            code *= self.inverse_powers[:last]
            code += _salt(length)
            yield self.text[:last][inside], code[inside]

    def words(self, spec: SparseText) -> Iterator[tuple[NDArray[np.int32], Words]]:
        """Yield for each length every n-gram's text and hash."""
        inside = _is_word_character()[self.codes]
        same_text = self.text[1:] == self.text[:-1]
        joined = inside[1:] & inside[:-1] & same_text
        start = np.flatnonzero(inside & ~np.concatenate([[False], joined]))
        end = np.flatnonzero(inside & ~np.concatenate([joined, [False]])) + 1
        word, text = _mixed(self.hashes(start, end)), self.text[start]
        code = np.zeros(len(word), np.uint64)
        multiplier = np.uint64(_MULTIPLIER)
        for length in range(1, spec.longest + 1):
            last = max(len(word) - length + 1, 0)
            code = code[:last] * multiplier + word[len(word) - last :]
            if length >= spec.shortest:
                inside_text = text[:last] == text[len(text) - last :]
                yield text[:last][inside_text], code[inside_text] + _salt(length)


def _chunks(texts: pl.Series) -> Iterator[list[str]]:
    """Yield consecutive texts, about `_CHUNK_CHARACTERS` at a time."""
    before = np.cumsum(texts.str.len_chars().to_numpy().astype(np.int64) + 2)
    part = before // _CHUNK_CHARACTERS
    edges = np.flatnonzero(np.diff(part, prepend=-1))
    for first, last in pairwise([*edges, len(texts)]):
        for start in range(first, last, _CHUNK_TEXTS):
            yield texts[start : min(start + _CHUNK_TEXTS, last)].to_list()


def _mixed(code: Words) -> Words:
    """Spread every bit of the input over all of the output (Stafford's MurmurHash3 finaliser)."""
    mixed: Words = code ^ (code >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _salt(length: int) -> np.uint64:
    """Return what tells n-grams of one length from those of another."""
    return np.uint64(length * 0xA24BAED4963EE407 % 2**64)


@lru_cache(maxsize=2)
def _powers(count: int) -> tuple[Words, Words]:
    """Return the first powers of the multiplier and of its inverse, modulo 2^64."""
    both = []
    for base in (_MULTIPLIER, _INVERSE):
        factors = np.full(count, base, dtype=np.uint64)
        factors[0] = 1
        both.append(np.cumprod(factors))
    return both[0], both[1]


@lru_cache(maxsize=1)
def _is_word_character() -> NDArray[np.bool_]:
    """Tell for every code point whether it is a letter or a digit."""
    return np.fromiter((chr(code).isalnum() for code in range(sys.maxunicode + 1)), np.bool_)
