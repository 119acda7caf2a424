"""What children of this room's tests do; see tests/processes.py."""

import os
import signal
from collections.abc import Callable

import pqdb
from tests.processes import say


def export(folder: str, name: str, kill_at: str) -> None:
    """Write the points of "one" into a file, until so many are done."""
    with pqdb.open(f"{folder}/one", upkeep="manual") as db:
        pqdb.export_points(db["things"], f"{folder}/{name}", batch=100, progress=_until(int(kill_at)))


def import_(folder: str, name: str, kill_at: str) -> None:
    """Read a file into "other", until so many are done."""
    beside = f"{folder}/points.jsonl" if name.endswith(".npy") else None
    with pqdb.open(f"{folder}/other", upkeep="manual") as db:
        pqdb.import_points(
            db, "things", f"{folder}/{name}", points=beside, batch=100, progress=_until(int(kill_at)), metric="l2"
        )


def _until(kill_at: int) -> Callable[[int, int | None], None]:
    """Say how far it is, and die there; at 0 go on to the end."""

    def progress(done: int, total: int | None) -> None:
        say(done)
        if 0 < kill_at <= done:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress
