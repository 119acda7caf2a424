"""Pages of selected points in the order of their ids."""

from pqdb.query.select import Selection
from pqdb.store.ids import id_key
from pqdb.store.view import PointView

BLOCK = 1_000  # ids read at once


def page(
    view: PointView, selection: Selection, offset: int | str | None, limit: int
) -> tuple[list[int], int | str | None]:
    """Up to `limit` rows selected, in id order from the id `offset` on, and the id that would follow."""
    if len(selection) ** 2 < view.n_live * (limit + 1):  # so few that sorting them costs less than looking for them
        found = _sorted(view, selection, offset)
    else:
        found = _walked(view, selection, offset, limit + 1)
    return [row for _, row in found[:limit]], found[limit][0] if len(found) > limit else None


def _sorted(view: PointView, selection: Selection, offset: int | str | None) -> list[tuple[int | str, int]]:
    """All from `offset` on, by their keys."""
    keyed = [(id_key(name), name, row) for name, row in zip(view.ids_of(selection.array), selection.rows, strict=True)]
    least = b"" if offset is None else id_key(offset)
    return [(name, row) for key, name, row in sorted(keyed) if key >= least]


def _walked(view: PointView, selection: Selection, offset: int | str | None, count: int) -> list[tuple[int | str, int]]:
    """The first `count` from `offset` on, among all ids there are."""
    found: list[tuple[int | str, int]] = []
    while len(found) < count:
        block = view.scan_ids(offset, BLOCK + 1)
        found += [(name, row) for name, row in block[:BLOCK] if row in selection.rows]
        if len(block) <= BLOCK:
            break
        offset = block[BLOCK][0]
    return found[:count]
