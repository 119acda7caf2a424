"""Full text: words in lower case. A word is a run of letters, marks and digits, as Unicode has them."""

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args
from unicodedata import normalize

import regex

from pqdb.query.matching import strings

Tokenizer = Literal["word", "multilingual"]
TOKENIZERS: tuple[Tokenizer, ...] = get_args(Tokenizer)
_WORD = regex.compile(r"[\p{Alphabetic}\p{N}]+")
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"(?![{_UNSPACED}])[\p{{Alphabetic}}\p{{N}}]"
_RUN = regex.compile(
    rf"(?P<unspaced>(?:[{_UNSPACED}]\p{{M}}*)+)|{_LETTER}(?:{_LETTER}|(?![{_UNSPACED}])\p{{M}})*"
)
_ACCENTS = regex.compile(r"([\p{Latin}\p{Greek}\p{Cyrillic}])\p{Mn}+")
_SELECTORS = regex.compile(r"[\uFE00-\uFE0F\u20E3]+|(?<=\p{M}{30})\p{M}+")  # of pictures; and marks beyond all measure


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(word.lower() for word in _WORD.findall(text))


@dataclass(frozen=True, slots=True)
class Counting:
    """Which words count at a key, in texts and in filters: those of so many characters; others are as if they stood
    nowhere. tokenizer "multilingual" also takes the accents from Latin, Greek and Cyrillic letters, and cuts runs of a
    script that has no spaces between words into pairs of neighbours, as full-text indexes without a dictionary do.
    """

    least: int | None = None
    most: int | None = None
    tokenizer: Tokenizer = "word"

    def words(self, text: str) -> tuple[str, ...]:
        """What counts of a text, in order."""
        if self is EVERY_WORD:
            return words(text)
        least, most = self.least or 0, self.most
        every = self.every_word(text)
        return tuple(word for word in every if least <= len(word) and (most is None or len(word) <= most))

    def every_word(self, text: str) -> tuple[str, ...]:
        """All of it, of whatever length."""
        if self.tokenizer == "word":
            return words(text)
        plain = normalize("NFKD", _SELECTORS.sub("", text)).lower()
        plain = normalize("NFC", _ACCENTS.sub(r"\1", plain))
        return tuple(part for run in _RUN.finditer(plain) for part in _parts(run[0], run["unspaced"] is not None))


EVERY_WORD = Counting()


def _parts(run: str, unspaced: bool) -> list[str]:
    return [run[at : at + 2] for at in range(max(1, len(run) - 1))] if unspaced else [run]


@dataclass(frozen=True, slots=True)
class _Match:
    """What is asked of the words of a text, in whatever order they stand there."""

    asked: str
    words: frozenset[str]
    counting: Counting = EVERY_WORD

    @classmethod
    def of(cls, asked: str, counting: Counting = EVERY_WORD) -> Self:
        """For what counts of a text."""
        return cls(asked, frozenset(counting.words(asked)), counting)


@dataclass(frozen=True, slots=True)
class MatchText(_Match):
    """Some string has all of these words, in any order. No words: nothing matches."""

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return bool(self.words) and any(self.words.issubset(self.counting.words(text)) for text in strings(values))


@dataclass(frozen=True, slots=True)
class MatchTextAny(_Match):
    """Some string has one of these words."""

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(not self.words.isdisjoint(self.counting.words(text)) for text in strings(values))


@dataclass(frozen=True, slots=True)
class MatchPhrase:
    """Some string has these words one behind the other."""

    asked: str
    words: tuple[str, ...]
    counting: Counting = EVERY_WORD

    @classmethod
    def of(cls, asked: str, counting: Counting = EVERY_WORD) -> Self:
        """For what counts of a text."""
        return cls(asked, counting.words(asked), counting)

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return bool(self.words) and any(_follow(self.counting.words(text), self.words) for text in strings(values))


def _follow(text: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    n = len(phrase)
    return any(text[at : at + n] == phrase for at in range(len(text) - n + 1))
