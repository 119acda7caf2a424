"""Points read without a query: by id, in order, counted, drawn."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pqdb.errors import IdError, InputError
from pqdb.hits import Id, Page, Point
from pqdb.query.facets import facet
from pqdb.query.matching import Value
from pqdb.query.order import in_order, parse_order
from pqdb.query.paging import page
from pqdb.query.path import parse_path
from pqdb.store.view import PointView
from pqdb.verbs.base import Verbs
from pqdb.verbs.given import Ids, Wanted, as_list, check_at_least_one

PAGE = 1_000  # points read at a time


class Reading(Verbs):
    """Points as they are."""

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id: Any) -> bool:
        self._guard()
        with self._points.read() as points:
            try:
                return points.row_of(id) is not None
            except IdError:
                if isinstance(id, str | int | np.integer):  # it could be that of a point, were it in bounds
                    return False
                raise

    def __iter__(self) -> Iterator[Point]:
        """All points in id order, with payloads, a page at a time: what is written meanwhile may be among them."""
        following: Id | None = None
        while True:
            page_ = self.scroll(PAGE, following)
            yield from page_.points
            following = page_.next_offset
            if following is None:
                return

    def count(self, filter: object = None) -> int:
        """How many points there are, or how many pass a filter."""
        self._guard()
        with self._points.read() as points:
            return points.n_live if filter is None else len(self._selection(points, filter))

    def facet(self, key: str, filter: object = None, limit: int = 10) -> list[tuple[Value, int]]:
        """The most frequent values at a key (strings, integers, true and false), and how many points have each."""
        self._guard()
        check_at_least_one("limit", limit)
        path = parse_path(key)
        with self._points.read() as points:
            selection = self._selection(points, {} if filter is None else filter)
            return facet(points, selection, path, self._selector.definitions(points), limit)

    def sample(
        self,
        n: int = 10,
        filter: object = None,
        with_payload: bool = True,
        with_vector: Wanted = False,
        seed: int | None = None,
    ) -> list[Point]:
        """Up to n different points drawn at random, of all or of those that pass a filter."""
        self._guard()
        check_at_least_one("n", n)
        with self._points.read() as points:
            rows = self._selection(points, {} if filter is None else filter).array
            drawn = np.random.default_rng(seed).choice(rows, min(n, len(rows)), replace=False).astype(np.int64)
            return self._points_of(points, drawn, with_payload, with_vector)

    def get(
        self, ids: Ids, with_payload: bool = True, with_vector: Wanted = False
    ) -> list[Point]:
        """The points of these ids, in their order; absent ones are left out."""
        self._guard()
        with self._points.read() as points:
            rows = [row for row in map(points.row_of, as_list(ids)) if row is not None]
            return self._points_of(points, np.array(rows, np.int64), with_payload, with_vector)

    def scroll(
        self,
        limit: int = 100,
        offset: Id | None = None,
        with_payload: bool = True,
        with_vector: Wanted = False,
        filter: object = None,
        order_by: object = None,
    ) -> Page:
        """Points in id order (integers, then UUIDs, then other strings), from the id `offset` on; those that pass.

        order_by: a key, or {"key": …, "direction": "asc" | "desc", "start_from": …}: points in the order of the numbers
        and points in time there, which are the page's `order_values`, times as microseconds since 1970; it has no
        offset and no next page.
        """
        self._guard()
        check_at_least_one("limit", limit)
        with self._points.read() as points:
            rows, following, values = self._page(points, limit, offset, filter, order_by)
            shown = self._points_of(points, np.array(rows, np.int64), with_payload, with_vector)
            return Page(shown, following, values)

    # -- how

    def _page(
        self, points: PointView, limit: int, offset: Id | None, filter: object, order_by: object
    ) -> tuple[list[int], Id | None, list[Any] | None]:
        """The rows of a page, the id that would follow, and what they are ordered by."""
        if order_by is not None:
            order = parse_order(order_by)
            if offset is not None:
                raise InputError("a scroll in the order of a key has no offset: use start_from")
            selection = self._selection(points, {} if filter is None else filter)
            found = in_order(points, selection, order, self._selector.definitions(points), limit)
            return [row for _, row in found], None, [value for value, _ in found]
        if filter is not None:
            return *page(points, self._selection(points, filter), offset, limit), None
        scanned = points.scan_ids(offset, min(limit, points.n_live) + 1)
        return [row for _, row in scanned[:limit]], scanned[limit][0] if len(scanned) > limit else None, None
