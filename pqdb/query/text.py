"""Full text: words in lower case. A word is a run of letters, marks and digits, as Unicode has them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Self, get_args
from unicodedata import combining, normalize

import regex

from pqdb.query.matching import strings

Tokenizer = Literal["word", "multilingual"]
TOKENIZERS: tuple[Tokenizer, ...] = get_args(Tokenizer)
_WORD = regex.compile(r"[\p{Alphabetic}\p{N}]+")
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_RUN = regex.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|[^{_UNSPACED}]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(word.lower() for word in _WORD.findall(text))


@dataclass(frozen=True, slots=True)
class Counting:
    """Which words count at a key, in texts and in filters: those of so many characters; others are as if they stood
    nowhere. tokenizer "multilingual" also takes the accents from letters, and cuts runs of a script that has no spaces
    between words into pairs of neighbours, as full-text indexes without a dictionary do.
    """

    least: int | None = None
    most: int | None = None
    tokenizer: Tokenizer = "word"

    def of(self, words: Iterable[str]) -> tuple[str, ...]:
        """What counts of the words of a text."""
        least, most = self.least or 0, self.most
        return tuple(word for word in self.cut(words) if least <= len(word) and (most is None or len(word) <= most))

    def cut(self, words: Iterable[str]) -> tuple[str, ...]:
        """All of it, of whatever length."""
        if self.tokenizer == "word":
            return tuple(words)
        return tuple(part for word in words for part in _parts(word))


EVERY_WORD = Counting()


@lru_cache(maxsize=16_384)
def _parts(word: str) -> tuple[str, ...]:
    found: list[str] = []
    for run in _RUN.finditer(word):
        if run["unspaced"] is None:
            bare = "".join(each for each in normalize("NFKD", run[0]) if not combining(each))
            found += words(bare)
        else:
            text = run[0]
            found += [text[at : at + 2] for at in range(max(1, len(text) - 1))]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class MatchText:
    """Some string has all of these words, in any order. No words: nothing matches."""

    words: frozenset[str]
    counting: Counting = EVERY_WORD

    def within(self, counting: Counting) -> Self:
        """The same where only some words count."""
        return replace(self, words=frozenset(counting.of(self.words)), counting=counting)

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return bool(self.words) and any(
            self.words.issubset(self.counting.of(words(text))) for text in strings(values)
        )


@dataclass(frozen=True, slots=True)
class MatchTextAny:
    """Some string has one of these words."""

    words: frozenset[str]
    counting: Counting = EVERY_WORD

    def within(self, counting: Counting) -> Self:
        """The same where only some words count."""
        return replace(self, words=frozenset(counting.of(self.words)), counting=counting)

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(not self.words.isdisjoint(self.counting.of(words(text))) for text in strings(values))


@dataclass(frozen=True, slots=True)
class MatchPhrase:
    """Some string has these words one behind the other."""

    words: tuple[str, ...]
    counting: Counting = EVERY_WORD  # of the words of that string

    def within(self, counting: Counting) -> Self:
        """The same where only some words count."""
        return replace(self, words=counting.of(self.words), counting=counting)

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return bool(self.words) and any(
            _follow(self.counting.of(words(text)), self.words) for text in strings(values)
        )


def _follow(text: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    n = len(phrase)
    return any(text[at : at + n] == phrase for at in range(len(text) - n + 1))
