"""An eye on queries: the slow ones are explained in the log, a share of all is answered exactly again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from random import random
from typing import Any

import pqdb

from .aftercare import Aftercare
from .logs import request_id
from .metrics import Metrics
from .proof import Proof
from .settings import Settings
from .shape import Vector

log = logging.getLogger("pqdb.server.slow")


@dataclass(frozen=True)
class Asked:
    """One search as the engine was asked for it."""

    collection: pqdb.Collection
    vector: Vector  # (dim,), or sparse
    k: int
    effort: dict[str, Any]  # keyword arguments of Collection.search that say how hard, and among which points

    @property
    def is_of_all(self) -> bool:
        """Whether it is not narrowed by a filter: recall is measured on whole collections."""
        return "filter" not in self.effort

    @property
    def is_exact(self) -> bool:
        """Whether it compared every vector, as searches by a sparse one always do."""
        return self.is_sparse or self.effort["exact"]

    @property
    def is_sparse(self) -> bool:
        """Whether it was by a sparse vector."""
        return isinstance(self.vector, pqdb.SparseVector)

    def explained(self) -> str:
        """What the search did, by searching once more; of a sparse vector there is nothing to find out."""
        if self.is_sparse:
            return f"every point compared that shares one of {len(self.vector)} dimensions"
        try:
            return str(self.collection.explain(self.vector, self.k, **self.effort))
        except pqdb.ClosedError as gone:
            return str(gone)


class Watch:
    """Told of every search; what it does about one is done when the service is idle."""

    def __init__(self, settings: Settings, metrics: Metrics, proof: Proof, aftercare: Aftercare) -> None:
        self._slow = settings.slow_query_ms / 1e3
        self._share = settings.recall_share
        self._metrics = metrics
        self._proof = proof
        self._aftercare = aftercare

    def searched(self, asked: Asked, seconds: float) -> None:
        """A search took so many seconds."""
        if 0 < self._slow < seconds:
            self._metrics.slow_query()
            self._aftercare.offer(partial(self._explain, asked, seconds, request_id.get()))
        if self._share and random() < self._share and asked.is_of_all and not asked.is_exact:
            self._aftercare.offer(partial(self._prove, asked))

    def _explain(self, asked: Asked, seconds: float, request: str | None) -> None:
        """Search once more, and log what the search did."""
        explanation = asked.explained()
        details = {"collection": asked.collection.name, "k": asked.k, "milliseconds": round(seconds * 1e3, 3)}
        told = {"explanation": explanation, "request_id": request}
        log.warning("slow query", extra={**details, **told})

    def _prove(self, asked: Asked) -> None:
        """Answer exactly what was asked, and note how much of it the search finds."""
        try:
            how = {key: asked.effort[key] for key in ("recall", "using") if key in asked.effort}
            report = asked.collection.measure_recall(asked.k, [asked.vector], **how)
        except (pqdb.InputError, pqdb.ClosedError):  # no source vectors to compare, emptied, or dropped meanwhile
            return
        self._proof.note(asked.collection.name, report.recall)
