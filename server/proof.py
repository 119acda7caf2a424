"""Recall as it was measured on real queries, of all worker processes together."""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict, deque
from pathlib import Path
from time import time
from typing import Any

import numpy as np

import pqdb

WINDOW = 1_000  # the latest queries of a collection that a report is the mean of
_STEP = 50  # queries a point of the history is the mean of

Sample = tuple[float, float]  # when (seconds since 1970), and the share of the true neighbours that was found


class Proof:
    """Samples of recall by collection; with a folder, shared with the other processes that were given it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._samples: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._lock = threading.Lock()

    def note(self, collection: str, share: float) -> None:
        """One query was answered exactly again, and `share` of its neighbours had been found."""
        with self._lock:
            self._samples[collection].append((time(), share))
            if self._folder is not None:
                self._publish(self._folder / f"proof-{os.getpid()}.json")

    def forget(self, collection: str) -> None:
        """The collection is gone or begins anew."""
        with self._lock:
            self._samples.pop(collection, None)

    def report(self, collection: str) -> dict[str, Any] | None:
        """Mean, 95 % interval and history of a collection's recall; None where nothing was measured yet."""
        return self.reports().get(collection)

    def reports(self) -> dict[str, dict[str, Any]]:
        """Such a report for every collection that has one."""
        return {name: _report(sorted(samples)[-WINDOW:]) for name, samples in self._all().items() if samples}

    def _publish(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({name: list(samples) for name, samples in self._samples.items()}))
        fresh.replace(path)

    def _all(self) -> dict[str, list[Sample]]:
        with self._lock:
            samples = {name: list(held) for name, held in self._samples.items()}
        for path in () if self._folder is None else self._folder.glob("proof-*.json"):
            if path.stem != f"proof-{os.getpid()}":
                for name, others in json.loads(path.read_text()).items():
                    samples[name] = samples.get(name, []) + [(when, share) for when, share in others]
        return samples


def _report(samples: list[Sample]) -> dict[str, Any]:
    parts = [samples[start : start + _STEP] for start in range(0, len(samples), _STEP)]
    return {**_point(samples), "queries": len(samples), "history": [_point(part) for part in parts]}


def _point(samples: list[Sample]) -> dict[str, float]:
    report = pqdb.RecallReport.of(np.array([share for _, share in samples]), 0, "real queries")
    return {"at": samples[-1][0], "mean": report.recall, "low": report.low, "high": report.high}
