"""Starts one process per index and asks them in turn, so that the machine's noise falls on all alike."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from bench.engines.base import Spec

Report = Any  # what a worker's method returned, pickled; or a Skip

_ROOT = Path(__file__).resolve().parent.parent
_GOODBYE_SECONDS = 20.0
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


class WorkerError(Exception):
    """A worker failed or died; its traceback is the message."""


@dataclass(frozen=True)
class Skip:
    """An index that could not take part, or a setting it failed on, and why."""

    label: str
    reason: str


@dataclass
class Desk:
    """One living worker process and the line to it."""

    spec: Spec
    process: subprocess.Popen[bytes]
    line: Connection
    facts: dict[str, Any] = field(default_factory=dict)

    def ask(self, order: str, *arguments: object) -> Report:
        """One order, one report; WorkerError on failure or death, a Skip as a value."""
        try:
            self.line.send((order, arguments))
            outcome, value = self.line.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(f"{self.spec.label}: its process died ({self.process.wait()})") from error
        if outcome == "failed":
            raise WorkerError(f"{self.spec.label}: {value}")
        return Skip(self.spec.label, value) if outcome == "skipped" else value

    def stop(self) -> None:
        """Ask it to go; end it if it does not."""
        try:
            self.line.send(("stop", ()))
            self.process.wait(timeout=_GOODBYE_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.line.close()


class Hall:
    """Where workers sit. All are gone when it closes, whatever happened."""

    def __init__(self) -> None:
        self._desks: list[Desk] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for desk in list(self._desks):
            self.dismiss(desk)

    def start(self, spec: Spec, *, threads: int = 1, site: Path | None = None) -> Desk:
        """A fresh process for spec; its packages are looked for in `site` first."""
        ours, theirs = Pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", str(theirs.fileno())],
            env=_environment(threads, site),
            pass_fds=[theirs.fileno()],
        )
        theirs.close()  # so that the death of the worker is an EOFError here, not a wait for ever
        desk = Desk(spec, process, ours)
        self._desks.append(desk)
        return desk

    def dismiss(self, desk: Desk) -> None:
        """Stop one worker."""
        desk.stop()
        self._desks.remove(desk)


def _environment(threads: int, site: Path | None) -> dict[str, str]:
    """This process's environment, with thread pools limited and the project importable."""
    paths = [path for path in (site, _ROOT) if path is not None]
    inherited = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        **dict.fromkeys(_POOLS, str(threads)),
        "PYTHONPATH": os.pathsep.join([*map(str, paths), *([inherited] if inherited else [])]),
    }
