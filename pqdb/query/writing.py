"""Writes to whatever a filter lets through: chosen and written in one commit."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from pqdb.errors import ConflictError
from pqdb.query.conditions import Filter
from pqdb.query.evaluate import passes
from pqdb.query.selector import Selector
from pqdb.store.batch import Held, PointBatch
from pqdb.store.points import PointStore
from pqdb.store.slots import Sources

Change = Callable[[bytes | None], bytes | None]  # a payload as stored → the one in its place; None: none
New = tuple[Sequence[Any], np.ndarray | Sources, Sequence[bytes | None] | None]  # points: ids, source rows, payloads
Only = Literal["new", "known"]  # ids that a write is for: those that are not there yet, those that are


def chosen(batch: PointBatch, points: PointStore, selector: Selector, filter: Filter) -> tuple[list[int | str], int]:
    """The ids that pass as this batch finds them, and the newest version among those points (0: there is none).

    To be called first in a batch.
    """
    with points.read() as view:
        batch.expect(view.seq)
        rows = selector.select(view, filter).array
        return view.ids_of(rows), int(view.versions_of(rows).max(initial=0))


def delete_where(points: PointStore, selector: Selector, filter: Filter) -> int:
    """Delete what passes; returns how many points."""
    with points.write() as batch:
        return batch.delete(chosen(batch, points, selector, filter)[0])


def change_where(points: PointStore, selector: Selector, filter: Filter, change: Change) -> int:
    """Change the payloads of what passes; returns how many points."""
    with points.write() as batch:
        return batch.change_payloads(chosen(batch, points, selector, filter)[0], change)


def replace_where(
    points: PointStore,
    selector: Selector,
    filter: Filter,
    new: New,
    if_version: int | None,
) -> int:
    """Delete what passes and write new points (ids, source rows, payloads), in one commit; returns its sequence, 0
    where there was nothing to do.

    Raises ConflictError where the newest version among the points that go is another than `if_version`.
    """
    ids, rows, payloads = new
    with points.write() as batch:
        going, version = chosen(batch, points, selector, filter)
        if if_version is not None and version != if_version:
            raise ConflictError(
                f"the points to be replaced ({len(going):,}) are at version {version}, not {if_version}: somebody has "
                "written them since"
            )
        batch.delete(going)
        batch.upsert(ids, rows, payloads)
    return batch.seq if batch.committed else 0


def permitted(
    batch: PointBatch, new: New, slots: Mapping[str, int], only: Only | None, where: Filter | None
) -> New:
    """Those of new points that may be written over what a batch finds under their ids: nothing, or a point that passes
    `where`. `slots`: of the vectors, by their names.
    """

    def may(held: Held | None) -> bool:
        if held is None:
            return only != "known"
        return only != "new" and (where is None or _passes(where, held, slots))

    ids, rows, payloads = new
    kept = [at for at, held in enumerate(batch.held(ids)) if may(held)]
    if len(kept) == len(ids):
        return new
    return (
        [ids[at] for at in kept],
        {slot: each.take(kept) for slot, each in rows.items()} if isinstance(rows, Mapping) else rows[kept],
        None if payloads is None else [payloads[at] for at in kept],
    )


def _passes(filter: Filter, held: Held, slots: Mapping[str, int]) -> bool:
    payload = None if held.payload is None else json.loads(held.payload)
    return passes(filter, payload, held.id, frozenset(name for name, slot in slots.items() if slot in held.slots))
