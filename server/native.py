"""The bodies and answers of our own verbs, those under `/pqdb/v1/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

from .effort import beam_of_recall
from .errors import validation_error
from .fields import Fields
from .points import check_number
from .shape import Shape
from .vectors import matrix

Floats = npt.NDArray[np.float32]

LOGGED = "logged"  # in place of queries: those asked lately
DEFAULT_K = 10
DEFAULT_SAMPLE = 200
_TRIED = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Measuring:
    """What recall is to be measured on."""

    k: int
    queries: Floats | str | None  # (n, dim); "logged"; None: stored points
    sample: int
    recall: float | None
    seed: int
    using: str  # the name of the vector

    @classmethod
    def parse(cls, body: Fields, shape: Shape, most: int, *others: str) -> Measuring:
        """`{"k", "queries" | "sample", "recall", "seed", "using"}`. Raises Refusal 400 or 422."""
        body.only(("k", "queries", "sample", "recall", "seed", "using", *others))
        dim = shape.dim(body.text("using"))
        queries: Floats | str | None = None
        if body.get("queries") == LOGGED:
            queries = LOGGED
        elif body.get("queries") is not None:
            rows = body.array("queries")
            check_number("queries", len(rows), most)
            if not rows:
                raise validation_error("queries", "length 0 invalid, must be at least 1")
            queries = matrix([_row(row) for row in rows], dim, "queries[{}]")
        return cls(
            body.unsigned("k", DEFAULT_K, least=1, most=10_000),
            queries,
            body.unsigned("sample", DEFAULT_SAMPLE, least=1, most=most),
            share_of(body, "recall"),
            body.unsigned("seed", 0, most=2**32 - 1),
            body.text("using"),
        )

    def measure(self, collection: pqdb.Collection, recall: float | None) -> pqdb.RecallReport:
        """Recall at what is asked for now."""
        report: pqdb.RecallReport = collection.measure_recall(
            self.k, self.queries, recall=recall, sample=self.sample, seed=self.seed, using=self.using
        )
        return report


def tuned(collection: pqdb.Collection, measuring: Measuring, target: float) -> dict[str, Any]:
    """The least recall to ask for whose measured mean reaches the target, and all that was tried on the way."""
    tried: list[dict[str, Any]] = []
    for asked in _TRIED:
        report = measuring.measure(collection, asked)
        tried.append({"recall": asked, "hnsw_ef": beam_of_recall(asked), "measured": printed(report)})
        if report.recall >= target:
            break
    last = tried[-1]
    return {"target": target, "reached": last["measured"]["recall"] >= target, **last, "tried": tried}


def printed(report: pqdb.RecallReport) -> dict[str, Any]:
    """A report of recall as JSON."""
    return {
        "recall": report.recall,
        "low": report.low,
        "high": report.high,
        "k": report.k,
        "queries": report.n,
        "population": report.population,
        "lost": {
            "partition": report.lost_partition,
            "codes": report.lost_codes,
            "rerank": report.lost_rerank,
        },
    }


def share_of(body: Fields, key: str) -> float | None:
    """A number between 0 and 1, both left out. Raises Refusal 400 or 422."""
    share = body.number(key)
    if share is not None and not 0 < share < 1:
        raise validation_error(body.path(key), f"value {share} invalid, must lie between 0 and 1")
    return share


def explained(explanation: pqdb.Explanation) -> dict[str, Any]:
    """What a query did, as JSON; its hits as ids and scores."""
    facts = {
        name: getattr(explanation, name)
        for name in explanation.__dataclass_fields__
        if name not in ("hits", "microseconds")
    }
    hits = explanation.hits
    found = [] if hits is None else [{"id": id_, "score": s} for id_, s in zip(hits.ids, hits.scores, strict=True)]
    return {**facts, "microseconds": explanation.microseconds, "hits": found}


def _row(value: object) -> list[Any]:
    return Fields({"row": value}, "queries").array("row")
