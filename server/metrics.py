"""What Prometheus is told: requests as they go by, collections and processes as they are when it asks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

import pqdb

from .proof import Proof

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"  # set by serving.py before workers start: their counts are added up

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SIMPLE = (
    ("points", "Points in a collection.", "points"),
    ("indexed_points", "Points whose codes lie in lists.", "indexed"),
    ("fresh_rows", "Rows not in lists yet, compared exactly.", "fresh"),
    ("dead_rows", "Rows of deleted and replaced points that still take room.", "dead_rows"),
    ("generation", "The number of the codebook generation searched; 0: none yet.", "generation"),
    ("lists", "Inverted lists.", "lists"),
)


class Metrics:
    """The counters of one service process, and the page of all of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        names = ("method", "route")
        self._requests = Counter(
            "pqdb_requests", "Requests answered.", (*names, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "pqdb_request_seconds", "Seconds from a request's head to its answer's end.", names,
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._slow = Counter("pqdb_slow_queries", "Queries slower than slow_query_ms.", registry=self._registry)
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        key = (method, route, status)
        held = self._children.get(key)
        if held is None:
            counter = self._requests.labels(method, route, str(status))
            held = self._children[key] = (counter, self._seconds.labels(method, route))
        held[0].inc()
        held[1].observe(seconds)

    def slow_query(self) -> None:
        """One query was slow."""
        self._slow.inc()

    def page(self, database: pqdb.Database, proof: Proof) -> bytes:
        """All metrics in Prometheus's text form."""
        registry = self._registry
        if os.environ.get(MULTIPROCESS):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        now = CollectorRegistry()
        now.register(_Collections(database, proof))
        ProcessCollector(registry=now)
        return generate_latest(registry) + generate_latest(now)


class _Collections(Collector):
    """Every collection's state at this moment."""

    def __init__(self, database: pqdb.Database, proof: Proof) -> None:
        self._database = database
        self._proof = proof

    def collect(self) -> Iterable[Metric]:
        infos = list(_infos(self._database))
        for name, help_, key in _SIMPLE:
            yield _gauge(f"pqdb_collection_{name}", help_, ((info["name"], info[key]) for info in infos))
        yield self._bytes(infos)
        yield _gauge(
            "pqdb_upkeep_working", "1 while upkeep trains or indexes in this process.",
            ((info["name"], int(info["upkeep"]["stage"] is not None)) for info in infos),
        )  # fmt: skip
        yield _gauge(
            "pqdb_upkeep_failing", "1 while upkeep's last step has failed and will be tried again.",
            ((info["name"], int(info["upkeep"]["error"] is not None)) for info in infos),
        )  # fmt: skip
        yield self._drift(infos)
        yield from self._recall()

    @staticmethod
    def _bytes(infos: list[dict[str, Any]]) -> Metric:
        family = GaugeMetricFamily(
            "pqdb_collection_bytes", "Bytes of a collection, by component.", labels=("collection", "component")
        )
        for info in infos:
            for component, size in info["bytes"].items():
                family.add_metric((info["name"], component), size)
        return family

    @staticmethod
    def _drift(infos: list[dict[str, Any]]) -> Metric:
        family = GaugeMetricFamily(
            "pqdb_collection_drift", "How far a generation has drifted from the points, by measure: docs/upkeep.md.",
            labels=("collection", "measure"),
        )  # fmt: skip
        for info in infos:
            for measure, value in (info["drift"] or {}).items():
                if value is not None:
                    family.add_metric((info["name"], measure), value)
        return family

    def _recall(self) -> Iterator[Metric]:
        recall = GaugeMetricFamily(
            "pqdb_measured_recall", "Recall of real queries, answered exactly again, and its 95 % interval.",
            labels=("collection", "bound"),
        )  # fmt: skip
        asked = GaugeMetricFamily(
            "pqdb_measured_recall_queries", "Real queries measured_recall is the mean of.", labels=("collection",)
        )
        for name, report in self._proof.reports().items():
            for bound in ("mean", "low", "high"):
                recall.add_metric((name, bound), report[bound])
            asked.add_metric((name,), report["queries"])
        yield recall
        yield asked


def _infos(database: pqdb.Database) -> Iterator[dict[str, Any]]:
    for name in database.collections():
        try:
            yield database.get_collection(name).info(resources=False)
        except (pqdb.CollectionNotFoundError, pqdb.ClosedError):  # dropped meanwhile
            continue


def _gauge(name: str, help_: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=("collection",))
    for collection, value in values:
        family.add_metric((collection,), value)
    return family
