"""What the verbs of a collection give back: points, hits, pages, reports. Plain values, no open transaction behind
them.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from pqdb.kernels.frame import named
from pqdb.metric import DISTANCES, Metric, scores

VERSION_MASK = (1 << 56) - 1  # of the tail word of a row's record (docs/format.md)

Id = int | str
Payload = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """A stored point. `vector` is None unless asked for; `version` is the sequence of its last change."""

    id: Id
    payload: Payload | None
    vector: Any  # (dim,) float32; {name: (dim,) float32} of those it has, where vectors have names
    version: int


@dataclass(frozen=True)
class Page:
    """Some points in id order, and the id the next page starts at (None at the end)."""

    points: list[Point]
    next_offset: Id | None
    order_values: list[Any] | None = None  # with order_by: what put each point in its place; times in µs since 1970


@dataclass(frozen=True)
class Hit:
    """One point found, with its score: similarity (larger is nearer), or distance for l2 and l1 (smaller is nearer)."""

    id: Id
    score: float
    payload: Payload | None
    vector: Any  # as a Point's
    version: int


class Hits(Sequence[Hit]):
    """The points found for one query, nearest first. Nothing is unpacked before it is first looked at."""

    __slots__ = ("_i", "_ids", "_metric", "_n", "_payloads", "_scores", "_vectors", "_words")

    def __init__(
        self,
        words: np.ndarray,
        i: int,
        n: int,
        metric: Metric,
        ids: list[Id] | None = None,
        payloads: Sequence[bytes | None] | None = None,
        vectors: Any = None,
    ) -> None:
        self._words = words  # (q, k, 3) uint64 of kernels.frame.ANSWER, of which these are [i, :n]
        self._i = i
        self._n = n
        self._metric = metric
        self._ids = ids  # where some are no integers
        self._scores: np.ndarray | None = None
        self._payloads = payloads  # JSON as stored
        self._vectors = vectors  # (n, dim) float32, or n mappings of names to vectors

    @property
    def ids(self) -> list[Id]:
        """The ids, nearest first."""
        if self._ids is None:
            self._ids = self._words[self._i, : self._n, 0].tolist()
        return self._ids

    @property
    def scores(self) -> np.ndarray:
        """(n,) float32: similarities, or distances for l2 and l1."""
        if self._scores is None:
            self._scores = scores(self._answers["value"].copy(), self._metric)
        return self._scores

    @property
    def versions(self) -> np.ndarray:
        """(n,) uint64: the sequence of each point's last change."""
        versions: np.ndarray = self._answers["tail"] & np.uint64(VERSION_MASK)
        return versions

    @property
    def raw_payloads(self) -> Sequence[bytes | None] | None:
        """Payloads as the JSON they are stored as, for those who pass them on; None where none were asked for."""
        return self._payloads

    @property
    def vectors(self) -> Any:
        """(n, dim) float32, where they were asked for; n mappings of names to vectors where those have names."""
        return self._vectors

    @property
    def smaller_is_nearer(self) -> bool:
        """Whether the scores are distances."""
        return self._metric in DISTANCES

    @property
    def _answers(self) -> np.ndarray:
        """(n,) kernels.frame.ANSWER."""
        return named(self._words[self._i, : self._n])

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        raw = self._payloads[index] if self._payloads is not None else None
        return Hit(
            id=self.ids[index],
            score=float(self.scores[index]),
            payload=None if raw is None else json.loads(raw),
            vector=None if self._vectors is None else self._vectors[index],
            version=int(self._answers["tail"][index]) & VERSION_MASK,
        )

    def __iter__(self) -> Iterator[Hit]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{i!r}: {s:.4f}" for i, s in zip(self.ids[:5], self.scores, strict=False))
        return f"Hits({len(self)}: {shown}{', …' if len(self) > 5 else ''})"


@dataclass(frozen=True)
class Group:
    """The nearest hits of one group: points that have the same value at a key."""

    id: int | str
    hits: list[Hit]


class PlainHits(Sequence[Hits]):
    """The hits of several queries that have nothing but numbers: made one by one, when they are looked at."""

    def __init__(self, words: np.ndarray, metric: Metric) -> None:
        self.words = words  # (q, k, 3) uint64 of kernels.frame.ANSWER
        self.metric = metric
        self.there = named(words)["value"] > -np.inf  # (q, k) bool
        self.counts: np.ndarray = self.there.sum(axis=1)  # (q,) int64
        self._made: list[Hits | None] = [None] * len(words)

    def __len__(self) -> int:
        return len(self.words)

    @overload
    def __getitem__(self, index: int) -> Hits: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hits]: ...
    def __getitem__(self, index: int | slice) -> Hits | list[Hits]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        made = self._made[i]
        if made is None:  # (two threads may make the same: one of them is kept)
            made = self._made[i] = Hits(self.words, i, int(self.counts[i]), self.metric)
        return made

    def ids_into(self, out: np.ndarray) -> None:
        """(q, ≥ k) object out: ids, where there are any."""
        out[:, : self.words.shape[1]][self.there] = self.words[:, :, 0][self.there]

    def scores_into(self, out: np.ndarray) -> None:
        """(q, ≥ k) float32 out: scores, where there are any."""
        values = named(self.words)["value"]
        out[:, : self.words.shape[1]][self.there] = scores(values[self.there], self.metric)


class BatchHits(Sequence[Hits]):
    """The hits of several queries, in the order of the queries."""

    def __init__(self, hits: Sequence[Hits], k: int) -> None:
        self._hits = hits
        self._k = k

    def __len__(self) -> int:
        return len(self._hits)

    def __repr__(self) -> str:
        return f"BatchHits({len(self)} queries, k={self._k})"

    @overload
    def __getitem__(self, index: int) -> Hits: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hits]: ...
    def __getitem__(self, index: int | slice) -> Hits | list[Hits]:
        return list(self._hits[index]) if isinstance(index, slice) else self._hits[index]

    @property
    def ids(self) -> np.ndarray:
        """(q, k) object: ids, None where there were fewer."""
        out = np.full((len(self), self._k), None, dtype=object)
        if isinstance(self._hits, PlainHits):  # at once: a hundred thousand hits by themselves take a tenth of a second
            self._hits.ids_into(out)
            return out
        for row, hits in zip(out, self._hits, strict=True):
            row[: len(hits)] = hits.ids
        return out

    @property
    def scores(self) -> np.ndarray:
        """(q, k) float32: scores, NaN where there were fewer."""
        out = np.full((len(self), self._k), np.nan, dtype=np.float32)
        if isinstance(self._hits, PlainHits):
            self._hits.scores_into(out)
            return out
        for row, hits in zip(out, self._hits, strict=True):
            row[: len(hits)] = hits.scores
        return out

    @property
    def counts(self) -> np.ndarray:
        """(q,) int64: hits of each query."""
        if isinstance(self._hits, PlainHits):
            return self._hits.counts.copy()
        return np.array([len(hits) for hits in self._hits], dtype=np.int64)


@dataclass(frozen=True)
class RecallReport:
    """Recall@k measured against the exact answer, with the 95 % interval of its mean, and what became of the rest.

    lost_partition: the share of true neighbours whose list was not probed; lost_codes: whose list was, but the scan of
    codes passed them over; lost_rerank: that came that far, and others were put before them. With the recall they add
    up to 1. All are 0 where nobody asked for the causes.
    """

    recall: float
    low: float
    high: float
    k: int
    n: int
    population: str
    lost_partition: float = 0.0
    lost_codes: float = 0.0
    lost_rerank: float = 0.0

    @classmethod
    def of(cls, shares: np.ndarray, k: int, population: str, lost: Sequence[float] | np.ndarray = ()) -> "RecallReport":
        """The report of queries with these recalls (q,), measured one by one or together; lost: partition, codes,
        rerank.
        """
        return cls(*interval(shares), k, len(shares), population, *map(float, lost))

    def __str__(self) -> str:
        lost = {"partition": self.lost_partition, "codes": self.lost_codes, "rerank": self.lost_rerank}
        said = ", ".join(f"{cause} {share:.3f}" for cause, share in lost.items() if share > 0)
        return (
            f"recall@{self.k} {self.recall:.3f} (95 %: {self.low:.3f}–{self.high:.3f}; {self.n} {self.population})"
            f"{f'; lost by {said}' if said else ''}"
        )


@dataclass(frozen=True)
class Explanation:
    """What one query did."""

    kind: str  # "exact" or "codes"
    lists: int  # lists probed
    n_lists: int
    codes: int  # codes scanned
    candidates: int  # survivors of the scan
    reranked: int  # of them, by their residuals
    fresh: int  # rows outside the lists, compared exactly
    recall: float | None  # what was asked
    microseconds: dict[str, float] = field(default_factory=dict)  # by stage
    hits: Hits | None = None
    filter: "FilterExplanation | None" = None
    groups: int = 0  # of 32 codes scanned, the last of a list filled up
    expected: float | None = None  # recall for a query like this, by the calibration: of so many lists, and the margin

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {us:.1f}" for name, us in self.microseconds.items())
        said = f"{self.filter}; " if self.filter is not None else ""
        return (
            f"{said}{self.kind}: {self.lists} of {self.n_lists} lists, {self.codes} codes in {self.groups} groups, "
            f"{self.candidates} candidates, {self.reranked} reranked, {self.fresh} fresh rows"
            f"{'' if self.expected is None else f', recall expected {self.expected:.3f}'}; µs: {stages}"
        )


@dataclass(frozen=True)
class FilterExplanation:
    """What a filter let through, how that was found, and how the planner went about it."""

    matches: int  # points that pass
    indexes: tuple[str, ...]  # payload indexes that were asked: "lang (keyword)"
    scanned: int  # payloads that were looked at
    way: str  # "rows": scored one by one; "lists": scanned; "all rows": compared; "nothing"
    rows_us: float | None  # what scoring the rows was expected to cost
    lists_us: float | None  # and scanning the lists

    def __str__(self) -> str:
        asked = f"by {', '.join(self.indexes)}" if self.indexes else "without an index"
        costs = {"rows": self.rows_us, "lists": self.lists_us}
        told = ", ".join(f"{way} {cost:.0f}" for way, cost in costs.items() if cost is not None)
        expected = f" (expected µs: {told})" if told else ""
        return f"{self.matches} points pass {asked}, {self.scanned} payloads read; {self.way}{expected}"


def interval(shares: np.ndarray) -> tuple[float, float, float]:
    """Mean of per-query recalls with its 95 % interval.

    Recalls are shares of k neighbours: neither one trial a query nor k of them. Their spread says how many independent
    trials they are worth (Korn, Graubard 1998), and for so many Wilson's interval with continuity correction is taken
    (Newcombe 1998, method 4), which holds near 1, where recalls lie, and the normal one does not. The spread is that of
    one query more, which found nothing: a sample that met no hard query does not prove that there are none.
    """
    n, mean = len(shares), float(shares.mean())
    wary = np.append(shares, 0.0)
    likely, variance = float(wary.mean()), float(wary.var(ddof=1)) / (n + 1)
    trials = likely * (1 - likely) / variance if variance > 0 else float(n)
    z = 1.96
    spread = z * z - 1 / trials + 4 * trials * mean * (1 - mean)
    middle, room = 2 * trials * mean + z * z, 2 * (trials + z * z)
    low = (middle - z * math.sqrt(max(0.0, spread + 4 * mean - 2)) - 1) / room
    high = (middle + z * math.sqrt(max(0.0, spread - 4 * mean + 2)) + 1) / room
    return mean, min(mean, max(0.0, low)), max(mean, min(1.0, high))
