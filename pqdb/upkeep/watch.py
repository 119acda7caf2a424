"""What is watched of a generation: how well it fits the points that came since it was trained."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np

from pqdb.quantization.encode import decode, encode, normalise
from pqdb.quantization.values import Code, ValueCode
from pqdb.store.blockview import BlockView

REACH = 1.5  # times the 99th percentile of residuals at training: a row farther from its centroid is in no list's land
MEMORY_SHARE = 0.1  # the error of inserts is a mean over about so many of the rows trained on …
MEMORY_ROWS = 2_000  # … and no fewer than these
ERROR_ROWS = 1_024  # of a batch, whose error is measured


@dataclass(frozen=True)
class About:
    """What a generation was when it was trained: object `about`."""

    trained_rows: int = 0
    n_lists: int = 0
    error: float | None = None  # mean squared error of the codes' residuals, in index space
    code_error: float | None = None  # the same for residuals of length 1: what the codebook alone is to blame for
    reach: float | None = None  # how far from its centroid a row may lie before it gets a list of its own
    list_rows: float | None = None  # that a list had, on the mean
    watermark: int | None = None  # of a generation that is kept for a way back: how far it had come

    @classmethod
    def load(cls, data: bytes) -> Self:
        """From an object's bytes; what another version of pqdb wrote beside is passed over."""
        return cls(**_known(cls, data))

    def to_bytes(self) -> bytes:
        """As JSON, without what is not known."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None}).encode()


@dataclass(frozen=True)
class Watch:
    """What was seen since: object `watch`, which searches do not read."""

    inserted: int = 0  # rows indexed since the generation was trained
    error: float | None = None  # as in About, of the rows that came lately
    code_error: float | None = None
    asked: float | None = None  # recall@10 …
    recall: float | None = None  # … and what came of it, on stored rows, half of them new
    settled: float | None = None  # the same right after what a recall takes was learned
    recall_rows: int = 0  # points there were then
    recall_inserted: int = 0
    moved: int = 0  # rows that came into other lists since what a recall takes was learned
    refused_inserted: int | None = None  # when the last new generation was no better, or was rolled back

    @classmethod
    def load(cls, view: BlockView) -> Self:
        """Of the current generation."""
        return cls.load_bytes(view.find_object("watch") or b"")

    @classmethod
    def load_bytes(cls, data: bytes) -> Self:
        """From an object's bytes."""
        return cls(**_known(cls, data))

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    def after(self, errors: tuple[float, float] | None, rows: int, about: About) -> Self:
        """After so many rows more, whose codes have these errors."""
        grown = replace(self, inserted=self.inserted + rows)
        if errors is None:
            return grown
        memory = max(MEMORY_ROWS, MEMORY_SHARE * about.trained_rows)
        keep = float(np.exp(-rows / memory)) if self.error is not None else 0.0
        error, code_error = (
            keep * (before or 0.0) + (1 - keep) * now
            for before, now in zip((self.error, self.code_error), errors, strict=True)
        )
        return replace(grown, error=error, code_error=code_error)

    def after_move(self, rows: int) -> Self:
        """After so many rows came into other lists, which are as good as new ones to whoever looks at recall."""
        return replace(self, recall_inserted=self.recall_inserted - rows, moved=self.moved + rows)


def errors_of(
    codebook: Code, residuals: np.ndarray, codes: np.ndarray | None = None, along: np.ndarray | None = None
) -> tuple[float, float] | None:
    """(error, code error) of residuals (n, d): see About. None where there is nothing to measure.

    codes (n, m) as they are kept; where none are given the residuals are coded, along vectors (n, d) if need be. Values
    lose next to nothing, so it is only the lists that can drift from their rows: what they leave counts as lost.
    """
    step = max(1, len(residuals) // ERROR_ROWS)
    residuals = residuals[::step]
    if isinstance(codebook, ValueCode):
        return (float(np.einsum("nd,nd->", residuals, residuals)) / len(residuals), 1.0) if len(residuals) else None
    some = None if along is None else along[::step]
    codes = encode(codebook, residuals, some)[0] if codes is None else codes[::step]
    units, lengths = normalise(residuals)
    guesses = decode(codebook, codes)
    norms = np.sqrt(np.einsum("nd,nd->n", guesses, guesses))
    cosines = np.einsum("nd,nd->n", units, guesses) / np.where(norms == 0, 1, norms)
    lost = np.clip(1 - cosines * cosines, 0, 1)[lengths > 0]
    if not len(lost):
        return None
    return float((lost * np.square(lengths[lengths > 0])).mean()), float(lost.mean())


def reach_of(residuals: np.ndarray) -> float:
    """How far from its centroid a row like these (n, d) may lie."""
    lengths = np.sqrt(np.einsum("nd,nd->n", residuals, residuals))
    return float(REACH * np.quantile(lengths, 0.99))


def about_of(view: BlockView) -> About:
    """What the current generation was when it was trained."""
    return About.load(view.object("about"))


def imbalance(counts: np.ndarray) -> float:
    """How uneven lists are, 1 if all are alike: the mean length of the list that a row is in, over the mean length."""
    total = float(counts.sum())
    return float(len(counts) * np.square(counts.astype(np.float64)).sum() / (total * total)) if total else 1.0


def _known(kind: type, data: bytes) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in json.loads(data or b"{}").items() if name in names}
