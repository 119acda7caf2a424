"""Starts one process per engine spec and asks them in turn, so that the machine's noise falls on all alike."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from bench.engines.base import Spec

_ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 120.0
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


class WorkerError(Exception):
    """A worker failed or died; its traceback is the message."""


@dataclass(frozen=True)
class Skip:
    """An engine or spec that could not take part, and why."""

    label: str
    reason: str


@dataclass
class Desk:
    """One living worker process and the line to it."""

    spec: Spec
    process: subprocess.Popen[bytes]
    line: Connection
    facts: dict[str, Any] = field(default_factory=dict)

    def ask(self, order: str, *arguments: Any) -> Any:
        """One order, one report; WorkerError on failure or death, Skip as a value."""
        try:
            self.line.send((order, arguments))
            outcome, value = self.line.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(f"{self.spec.label}: its process died ({self.process.poll()})") from error
        if outcome == "failed":
            raise WorkerError(f"{self.spec.label}: {value}")
        return Skip(self.spec.label, value) if outcome == "skipped" else value

    def stop(self) -> None:
        """Ask it to go; end it if it does not."""
        try:
            self.line.send(("stop", ()))
            self.process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.line.close()


@contextmanager
def desks() -> Iterator["Hall"]:
    """A hall in which workers are started; all are gone when it closes, whatever happened."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        hall = Hall(Path(folder))
        try:
            yield hall
        finally:
            hall.close()


class Hall:
    """Starts workers and keeps them until it closes."""

    def __init__(self, folder: Path) -> None:
        self._key = secrets.token_hex(16)
        self._address = str(folder / "line")
        self._listener = Listener(self._address, authkey=self._key.encode())
        self._open: list[Desk] = []

    def start(self, spec: Spec, *, threads: int = 1, site: Path | None = None) -> Desk:
        """A fresh process for spec; `site` is a folder its packages are looked for in first."""
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", self._address],
            env=_environment(self._key, spec.environment, threads, site),
        )
        line = self._accept(process)
        desk = Desk(spec, process, line)
        self._open.append(desk)
        return desk

    def _accept(self, process: subprocess.Popen[bytes]) -> Connection:
        self._listener._listener._socket.settimeout(_START_SECONDS)  # type: ignore[attr-defined]
        try:
            return self._listener.accept()
        except OSError as error:
            process.kill()
            raise WorkerError(
                f"a worker did not come up in {_START_SECONDS:.0f} s ({process.wait()})"
            ) from error

    def dismiss(self, desk: Desk) -> None:
        """Stop one worker."""
        desk.stop()
        self._open.remove(desk)

    def close(self) -> None:
        for desk in list(self._open):
            self.dismiss(desk)
        self._listener.close()


def _environment(key: str, extra: Mapping[str, Any], threads: int, site: Path | None) -> dict[str, str]:
    """This process's environment, with thread pools limited and the project importable."""
    paths: Sequence[str] = [str(path) for path in (site, _ROOT) if path is not None]
    inherited = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        **dict.fromkeys(_ONE_THREAD, str(threads)),
        "PYTHONPATH": os.pathsep.join([*paths, *([inherited] if inherited else [])]),
        "PQDB_BENCH_KEY": key,
        **{name: str(value) for name, value in extra.items()},
    }
