"""Named instants at which a child kills itself: the seams of training, indexing, swapping, committing and growing.

The engine knows nothing of them: the child wraps the function that begins or ends the instant, and dies by SIGKILL
before or behind one of its calls.
"""

import importlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.processes import say


@dataclass(frozen=True)
class Point:
    """Before or behind a call of `owner`.`name`; `mode` is the workload that comes by there, `nth` times at least, and
    soonest where it does `verb` more often.
    """

    owner: str  # "module" or "module:Class"
    name: str
    before: bool
    mode: str = "manual"
    nth: int = 2
    verb: str = ""


POINTS = {
    "change run, not committed": Point("pqdb.store.write:Write", "_commit", True),
    "committed, not acknowledged": Point("pqdb.store.write:Write", "_commit", False),
    "several run, not committed": Point("pqdb.store.write:Write", "_commit", True, "threads"),
    "several committed, not acknowledged": Point("pqdb.store.group:GroupCommit", "_attempt", False, "threads"),
    "lead handed on": Point("pqdb.store.group:GroupCommit", "_leave", False, "threads"),
    "payload index filled, not committed": Point(
        "pqdb.store.batch:PointBatch", "fill_table", False, nth=1, verb="index"
    ),
    "payload index emptied, not committed": Point(
        "pqdb.store.batch:PointBatch", "drop_table", False, nth=1, verb="index"
    ),
    "map full": Point("pqdb.store.environment:Environment", "grow", True, nth=1, verb="make"),
    "map grown": Point("pqdb.store.environment:Environment", "grow", False, nth=1, verb="make"),
    "segment of sparse vectors put, not committed": Point(
        "pqdb.store.sparse:SparseColumn", "_fill", False, nth=1, verb="make"
    ),
    "training begins": Point("pqdb.upkeep.build", "train", True, verb="train"),
    "codebook learned": Point("pqdb.upkeep.build", "train", False, verb="train"),
    "generation begun": Point("pqdb.upkeep.build", "_begin", False, verb="train"),
    "rows assigned": Point("pqdb.upkeep.build", "_assign_rows", False, verb="train"),
    "some lists encoded": Point("pqdb.upkeep.build", "_write_part", False, verb="train"),
    "a list put, not committed": Point("pqdb.store.blockbatch:BlockBatch", "put_list", False, verb="train"),
    "all lists encoded": Point("pqdb.upkeep.build", "_write_lists", False, verb="train"),
    "calibrated": Point("pqdb.upkeep.build", "_calibrated", False, verb="train"),
    "objects put, not swapped": Point("pqdb.store.blockbatch:BlockBatch", "set_current", True, verb="train"),
    "swapped, not committed": Point("pqdb.store.blockbatch:BlockBatch", "set_current", False, verb="train"),
    "old generation half dropped": Point("pqdb.store.blockbatch:BlockBatch", "drop_generation", False, verb="train"),
    "old generation dropped": Point("pqdb.upkeep.build", "_swap", False, verb="train"),
    "fresh rows coded": Point("pqdb.upkeep.fresh", "code_rows", False, verb="optimize"),
    "fresh rows joined": Point("pqdb.upkeep.steps", "index_fresh", False, verb="optimize"),
    "background step": Point("pqdb.upkeep.worker:Upkeep", "_background_step", False, "background"),
    "rows reserved, not committed": Point("pqdb.store.batch:PointBatch", "reserve", False, verb="compact"),
    "moved rows in lists, not settled": Point("pqdb.upkeep.compact", "_index_upto", False, verb="compact"),
    "moved rows settled, not committed": Point("pqdb.store.batch:PointBatch", "settle", False, verb="compact"),
    "dead runs dropped, not committed": Point("pqdb.store.batch:PointBatch", "drop_dead_runs", False, verb="compact"),
    "lists tidied": Point("pqdb.upkeep.compact", "_rewrite", False, verb="compact"),
    "lists renumbered, not committed": Point("pqdb.upkeep.balance", "_renumber", False, nth=1, verb="optimize"),
    "lists balanced": Point("pqdb.upkeep.balance", "_commit", False, nth=1, verb="optimize"),
    "copied, not marked": Point("pqdb.store.environment:Environment", "_copy_afresh", False, verb="compact"),
    "marked, no pointer": Point("pqdb.store.environment:Environment", "_follow", True, verb="compact"),
    "pointer put": Point("pqdb.store.moved", "point", False, verb="compact"),
    "rolled back": Point("pqdb.upkeep.worker", "roll_back", False, nth=1, verb="rollback"),
    "collection's points made": Point("pqdb.store.points:PointStore", "create", False, verb="make"),
    "collection made, not named": Point("pqdb.store.catalog:CatalogBatch", "add", True, verb="make"),
    "collection forgotten, files there": Point("pqdb.store.catalog:CatalogBatch", "remove", False, verb="drop"),
}


def arm(name: str, nth: int) -> None:
    """From now on the `nth` call of that point's function is this process's last."""
    point = POINTS[name]
    module, _, inside = point.owner.partition(":")
    owner = importlib.import_module(module)
    owner = getattr(owner, inside) if inside else owner
    held = vars(owner)[point.name]
    calls = [0]

    def die() -> None:
        calls[0] += 1
        if calls[0] == nth:
            say(f"at {name}")
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(through: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if point.before:
                die()
            result = through(*arguments, **options)
            if not point.before:
                die()
            return result

        return call

    if isinstance(held, classmethod):
        setattr(owner, point.name, classmethod(wrapped(held.__func__)))
    else:
        setattr(owner, point.name, wrapped(held))
