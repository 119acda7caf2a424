"""Full text: words in lower case. A word is a run of letters, marks and digits, as Unicode has them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import regex

from pqdb.query.matching import strings

_WORD = regex.compile(r"[\p{Alphabetic}\p{N}]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(word.lower() for word in _WORD.findall(text))


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long a word is, in characters, that counts: others are as if they stood nowhere, in texts and in filters."""

    least: int | None = None
    most: int | None = None

    def of(self, words: Iterable[str]) -> tuple[str, ...]:
        """Those of the words that count."""
        least, most = self.least or 0, self.most
        return tuple(word for word in words if least <= len(word) and (most is None or len(word) <= most))


ANY_LENGTH = Lengths()


@dataclass(frozen=True, slots=True)
class MatchText:
    """Some string has all of these words, in any order. No words: nothing matches."""

    words: frozenset[str]

    def within(self, lengths: Lengths) -> Self:
        """The same where only some words count."""
        return replace(self, words=frozenset(lengths.of(self.words)))

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return bool(self.words) and any(self.words.issubset(words(text)) for text in strings(values))


@dataclass(frozen=True, slots=True)
class MatchTextAny:
    """Some string has one of these words."""

    words: frozenset[str]

    def within(self, lengths: Lengths) -> Self:
        """The same where only some words count."""
        return replace(self, words=frozenset(lengths.of(self.words)))

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(not self.words.isdisjoint(words(text)) for text in strings(values))


@dataclass(frozen=True, slots=True)
class MatchPhrase:
    """Some string has these words one behind the other."""

    words: tuple[str, ...]
    counted: Lengths = ANY_LENGTH  # of the words of that string

    def within(self, lengths: Lengths) -> Self:
        """The same where only some words count."""
        return replace(self, words=lengths.of(self.words), counted=lengths)

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return bool(self.words) and any(
            _follow(self.counted.of(words(text)), self.words) for text in strings(values)
        )


def _follow(text: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    n = len(phrase)
    return any(text[at : at + n] == phrase for at in range(len(text) - n + 1))
