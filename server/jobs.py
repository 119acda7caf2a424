"""Works that outlast a request: each in a thread of its own, its state told to whoever knows its id."""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import time
from typing import Any, Literal

import pqdb

from .answering import refusal_for

MOST_KEPT = 1_000  # jobs remembered; the oldest finished ones are forgotten first

Progress = Callable[[str, float], None]  # a stage, and the share of it that is done
Work = Callable[[Progress], object]

_ID = re.compile(r"[0-9a-f]{32}")
log = logging.getLogger("pqdb.server.jobs")


class Stopped(Exception):
    """Raised out of a work's progress when the service is ending."""


@dataclass(frozen=True)
class Job:
    """What is known about a job at one moment."""

    id: str
    kind: str
    collection: str  # "": all of them
    status: Literal["running", "done", "failed"]
    started: float  # seconds since 1970
    finished: float | None = None
    stage: str | None = None
    share: float | None = None  # of the stage, 0 to 1
    result: Any = None
    error: str | None = None


class Jobs:
    """The jobs of a service; with a folder, its other worker processes know them too."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def start(self, kind: str, collection: str, work: Work) -> Job:
        """Begin a work on the collection of that name, or "" for all of them, and return at once.

        Raises InputError while there is one of that kind already.
        """
        with self._lock:
            for other in self._jobs.values():
                if (other.kind, other.collection, other.status) == (kind, collection, "running"):
                    what = f"`{collection}`" if collection else "the database"
                    raise pqdb.InputError(f"job {other.id} does that already: {kind} of {what}")
            job = Job(uuid.uuid4().hex, kind, collection, "running", time())
            self._forget_oldest()
            thread = threading.Thread(target=self._run, args=(job, work), name=f"pqdb {kind}", daemon=True)
            self._threads[job.id] = thread
        self._keep(job)
        thread.start()
        return job

    def get(self, id_: str) -> Job | None:
        """A job of this process or, by the folder, of another."""
        with self._lock:
            job = self._jobs.get(id_)
        if job is None and self._folder is not None and _ID.fullmatch(id_):
            path = self._folder / f"job-{id_}.json"
            if path.exists():
                job = Job(**json.loads(path.read_text()))
        return job

    def close(self) -> None:
        """End all works at their next safe point, and wait for it."""
        self._closing.set()
        for thread in list(self._threads.values()):
            thread.join()

    def _run(self, job: Job, work: Work) -> None:
        told = 0.0

        def progress(stage: str, share: float) -> None:
            nonlocal told
            if self._closing.is_set():
                raise Stopped
            if time() - told > 0.2:
                told = time()
                self._keep(replace(job, stage=stage, share=round(share, 4)))

        try:
            result = work(progress)
            done = replace(job, status="done", finished=time(), share=1.0, result=result)
        except Stopped:
            done = replace(job, status="failed", finished=time(), error="the service was stopped")
        except (pqdb.ClosedError, pqdb.LockedError) as error:  # its collection was dropped meanwhile
            done = replace(job, status="failed", finished=time(), error=str(error))
        except Exception as error:  # noqa: BLE001 (a job that fails must say so)
            done = replace(job, status="failed", finished=time(), error=refusal_for(error).text)
        log.info("job ended", extra={"job": done.id, "kind": done.kind, "outcome": done.status})
        self._keep(done)
        with self._lock:
            self._threads.pop(job.id, None)

    def _keep(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.id] = job
            if self._folder is not None:
                path = self._folder / f"job-{job.id}.json"
                fresh = path.with_suffix(".new")
                fresh.write_text(json.dumps(asdict(job)))
                fresh.replace(path)

    def _forget_oldest(self) -> None:
        finished = [id_ for id_, job in self._jobs.items() if job.status != "running"]
        for id_ in finished[: max(0, len(self._jobs) + 1 - MOST_KEPT)]:
            del self._jobs[id_]
            if self._folder is not None:
                (self._folder / f"job-{id_}.json").unlink(missing_ok=True)
