"""Collections to search in, each made once: trained, with several lists though they are small."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.config import Quantization, Rerank, Source
from pqdb.metric import Metric
from tests import naive
from tests.conftest import SEED
from tests.data import clustered, queries_near

ROWS, QUERIES, DIM = 1_500, 24, 24
MANY = 240  # queries that tell what a recall asked for comes to: of 24 one hard one decides


@dataclass(frozen=True)
class Made:
    """A collection whose ids are its row numbers, and what the oracle needs to search it."""

    collection: pqdb.Collection
    rows: np.ndarray  # (n, d) float64, prepared and as they come back from the source
    raw: np.ndarray  # (q, d) float32 queries as a user has them
    queries: np.ndarray  # (q, d) float64, prepared
    metric: Metric
    many: np.ndarray  # (MANY, d) float32 other queries

    def truth(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """((q, k) scores, (q, k) ids)."""
        return naive.search.nearest(self.queries, self.rows, self.metric, k)

    def everything(self, k: int) -> Any:
        """The search that leaves no list out and reranks whatever there is."""
        return self.collection.search(self.raw, k, nprobe=100_000, rerank=max(k, len(self.rows)))

    def recall_of(self, hits: pqdb.BatchHits, k: int) -> float:
        return naive.search.recall(hits.scores.astype(np.float64), self.truth(k)[0], self.metric)

    def recall_asked(self, k: int, recall: float | None = None) -> float:
        """What a recall that is asked for (None: by default) comes to, on many queries."""
        hits = self.collection.search(self.many, k, recall=recall)
        truth, _ = naive.search.nearest(naive.search.prepared(self.many, self.metric), self.rows, self.metric, k)
        return naive.search.recall(hits.scores.astype(np.float64), truth, self.metric)


Make = Callable[..., Made]


@pytest.fixture(scope="session")
def make() -> Iterator[Make]:
    """make(metric, …) -> Made; the same arguments give the same collection. Do not write to it."""
    held: dict[tuple[Any, ...], Made] = {}
    with pqdb.open(upkeep="manual") as database:

        def made(
            metric: Metric = "cosine",
            *,
            quantization: Quantization | None = None,
            rerank: Rerank | None = "auto",
            source: Source | None = "float32",
            dim: int = DIM,
            n: int = ROWS,
        ) -> Made:
            key = (metric, quantization, rerank, source, dim, n)
            if key not in held:
                vectors = clustered(n, dim, seed=SEED)
                raw = queries_near(vectors, QUERIES, seed=SEED + 1)
                options: Any = {} if quantization is None else {"quantization": quantization}
                name = f"c{len(held)}"
                collection = database.create_collection(name, dim, metric, rerank=rerank, source=source, **options)
                collection.upsert(np.arange(n), vectors)
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("pqdb.upkeep.build.choose_n_lists", lambda n: max(1, round(n / 96)))
                    collection.train()
                rows = naive.search.stored(naive.search.prepared(vectors, metric), source)
                many = queries_near(vectors, MANY, seed=SEED + 2)
                held[key] = Made(collection, rows, raw, naive.search.prepared(raw, metric), metric, many)
            return held[key]

        yield made
