"""How many points have which value at a key: strings, integers, true and false; each value once a point."""

import json
from collections import Counter
from typing import Any

import numpy as np
from pyroaring import BitMap

from pqdb.query.bitmaps import rows_of
from pqdb.query.definitions import Definition
from pqdb.query.entries import OTHER, VALUE, bool_key, is_cut, string_key
from pqdb.query.index import Index
from pqdb.query.matching import Value
from pqdb.query.ordering import to_integers
from pqdb.query.path import Path, elements
from pqdb.query.select import Selection
from pqdb.store.view import PointView

COUNTED = ("keyword", "integer", "bool")  # kinds of indexes whose keys can be counted
Counts = Counter[tuple[type, Value]]  # with the type, since True == 1


def facet(
    view: PointView, selection: Selection, path: Path, held: tuple[Definition, ...], limit: int
) -> list[tuple[Value, int]]:
    """The `limit` most frequent values at a path among the rows selected, and their counts; of equals the lesser first.

    An index of one kind counts its values; rows with other values are looked at, or all rows where there is no index.
    """
    definition = next((index for index in held if index.path == path and index.kind in COUNTED), None)
    if definition is None:
        counts = _looked_at(view, path, selection.rows)
    else:
        index = Index(view.tables, definition, selection.rows)
        counts = _by_index[definition.kind](view, index, selection.rows)
        others = _looked_at(view, path, index.rows(OTHER) & selection.rows)
        kind = {"keyword": str, "integer": int, "bool": bool}[definition.kind]
        for key in others:
            if key[0] is not kind or (kind is int and key not in counts):  # (an integer may be too large for its index)
                counts[key] = others[key]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0][0]), item[0][1]))
    return [(value, count) for (_, value), count in ranked[:limit]]


def _looked_at(view: PointView, path: Path, rows: BitMap) -> Counts:
    counts: Counts = Counter()
    for raw in view.payloads_of(rows_of(rows)):
        if raw is not None:
            found = elements(path.values(json.loads(raw)))
            counts.update({(type(element), element) for element in found if type(element) in (str, int, bool)})
    return counts


def _strings(view: PointView, index: Index, rows: BitMap) -> Counts:
    counts: Counts = Counter()
    for key, piece in index.pieces(VALUE):
        count = piece.intersection_cardinality(rows)
        if count:
            counts[str, _text(view, index, key, piece & rows)] += count
    return counts


def _text(view: PointView, index: Index, key: bytes, rows: BitMap) -> str:
    """The string of a key; one that was cut is read from a payload."""
    if not is_cut(key):
        return str(key[len(VALUE) :], "utf-8", "surrogatepass")
    raw = view.payload_of(rows.min())
    found = elements(index.path.values(json.loads(raw or b"{}")))
    return next(element for element in found if isinstance(element, str) and string_key(element) == key)


def _integers(_view: PointView, index: Index, rows: BitMap) -> Counts:
    keys, their_rows = index.span(0, (1 << 64) - 1)
    alive = np.zeros(int(their_rows.max(initial=0)) + 1, np.bool_)
    selected = rows_of(rows)
    alive[selected[selected < len(alive)]] = True
    values, counts = np.unique(to_integers(keys[alive[their_rows]]), return_counts=True)
    found = zip(values.tolist(), counts.tolist(), strict=True)
    return Counter({(int, value): count for value, count in found})


def _flags(_view: PointView, index: Index, rows: BitMap) -> Counts:
    counted = {(bool, flag): index.rows(bool_key(flag)).intersection_cardinality(rows) for flag in (False, True)}
    return Counter({key: count for key, count in counted.items() if count})


_by_index: dict[str, Any] = {"keyword": _strings, "integer": _integers, "bool": _flags}
