"""One engine in its own process: builds once, then answers the conductor's orders until told to stop.

Run as `python -m bench.worker DESCRIPTOR`, the number of an inherited connection. Orders and reports are
small tuples; the data set is read from its file here, so that nothing large travels.
"""

import gc
import os
import resource
import sys
import time
import traceback
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import Floats, load
from bench.engines import module_of
from bench.engines.base import Arguments, Engine, SkippedError, Spec, ids_array

_WARM_UP = 20


def main() -> None:
    """Serve orders until "stop"; an exception becomes a report, so that one engine never ends a run."""
    worker = Worker()
    with Connection(int(sys.argv[1])) as line:
        while True:
            try:
                order, arguments = line.recv()
            except EOFError:  # the conductor is gone
                order, arguments = "stop", ()
            if order == "stop":
                worker.close()
                return
            line.send(_report(worker, order, arguments))


def _report(worker: "Worker", order: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        return "done", getattr(worker, order)(*arguments)
    except SkippedError as skipped:
        return "skipped", str(skipped)
    except Exception:  # noqa: BLE001  told to the conductor, which prints it and goes on
        return "failed", traceback.format_exc()


class Worker:
    """The engine of this process and the queries it is asked."""

    _engine: Engine
    _test: Floats  # (q, d); the rows are let go once the engine has taken them

    def build(self, spec: Spec, path: Path, queries: int | None, threads: int) -> dict[str, Any]:
        """Build the index on all cores; seconds, bytes by purpose, versions."""
        data = load(path, queries=queries)
        self._test = data.test
        self._engine = module_of(spec.engine).build(spec)
        self._engine.set_threads(threads)
        before = _resident()
        start = time.perf_counter()
        self._engine.fit(data.train, data.metric)
        seconds = time.perf_counter() - start
        del data
        gc.collect()
        gc.freeze()
        return {
            "build seconds": seconds,
            "resident bytes gained": _resident() - before,
            "bytes": asdict(self._engine.get_memory_usage()),
            "versions": self._engine.versions(),
        }

    def settle(self, cores: list[int], threads: int) -> None:
        """Pin every thread of this process to cores, and let queries use so many threads."""
        for task in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)
        self._engine.set_threads(threads)

    def single(self, setting: Arguments, k: int, queries: int | None = None) -> dict[str, Any]:
        """One pass, one query a call: seconds of each query, the answers, how undisturbed the pass was."""
        self._engine.set_query_arguments(**setting)
        query, clock, test = self._engine.query, time.perf_counter_ns, list(self._test[:queries])
        for vector in test[:_WARM_UP]:
            query(vector, k)
        answers, times = [], np.empty(len(test), dtype=np.int64)
        gc.disable()
        usage, wall = resource.getrusage(resource.RUSAGE_SELF), clock()
        for i, vector in enumerate(test):
            start = clock()
            answer = query(vector, k)
            times[i] = clock() - start
            answers.append(answer)
        report = _noise(usage, clock() - wall)
        gc.enable()
        return {"times": times * 1e-9, "ids": ids_array(answers, k), **report}

    def batch(self, setting: Arguments, k: int) -> dict[str, Any]:
        """One pass, all queries in one call: seconds in all, the answers."""
        self._engine.set_query_arguments(**setting)
        self._engine.batch_query(self._test[:_WARM_UP], k)
        usage, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter_ns()
        answers = self._engine.batch_query(self._test, k)
        wall = time.perf_counter_ns() - start
        return {"seconds": wall * 1e-9, "ids": ids_array(list(answers), k), **_noise(usage, wall)}

    def close(self) -> None:
        if hasattr(self, "_engine"):
            self._engine.close()


def _noise(before: resource.struct_rusage, wall_ns: int) -> dict[str, float]:
    """Share of the wall time the process had a core, and how often it lost one."""
    after = resource.getrusage(resource.RUSAGE_SELF)
    busy = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return {"cpu share": busy * 1e9 / max(wall_ns, 1), "preempted": after.ru_nivcsw - before.ru_nivcsw}


def _resident() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
