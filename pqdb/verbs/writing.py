"""Points written, changed and deleted, and the indexes on their payloads: each verb one commit."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pqdb.errors import InputError, PointNotFoundError
from pqdb.hits import Id, Payload
from pqdb.metric import prepare
from pqdb.quantization.source import encode_source
from pqdb.query.indexing import create_index, drop_index
from pqdb.query.parse import parse_filter
from pqdb.query.path import parse_path
from pqdb.query.payloads import merged, without
from pqdb.query.writing import change_where, delete_where, filter_of, replace_where
from pqdb.store.batch import PointBatch
from pqdb.verbs.base import Verbs
from pqdb.verbs.given import Ids, as_list, ids_or_filter, payload_bytes


class Writing(Verbs):
    """Commits."""

    def upsert(
        self, ids: Sequence[Id] | np.ndarray | Id, vectors: object, payloads: Sequence[Payload | None] | None = None
    ) -> int:
        """Write points, replacing those of the same id; returns the sequence of the commit, once it is on disk.

        vectors (n, dim) array-like; of equal ids in one call the last wins. Raises InputError and kin (DimensionError,
        IdError, PayloadError) before anything is written, ReadOnlyError, StorageError.
        """
        upkeep = self._writer()
        names, rows, raw = self._new_points(ids, vectors, payloads)
        if not names:
            raise InputError("an upsert needs at least one point")

        def write(batch: PointBatch) -> int:
            batch.upsert(names, rows, raw)
            return batch.seq

        sequence = self._points.commit(write)
        upkeep.written(len(names))
        return sequence

    def set_vectors(self, ids: Sequence[Id] | np.ndarray | Id, vectors: object) -> int:
        """Give points other vectors; their payloads stay. Returns the sequence of the commit.

        vectors (n, dim) array-like. Raises PointNotFoundError for an id that is not there, DimensionError and kin;
        then nothing is changed.
        """
        upkeep = self._writer()
        names = as_list(ids)
        prepared = prepare(vectors, self.dim, self.metric)
        if not names or len(names) != len(prepared):
            raise InputError(f"{len(names)} ids for {len(prepared)} vectors")
        with self._points.write() as batch:
            for name in names:
                if not batch.has(name):
                    raise PointNotFoundError(f"there is no point {name!r}")
            raw = [batch.payload_of(name) for name in names]
            batch.upsert(names, encode_source(prepared, self.config.kept_source), raw)
        upkeep.poke()
        return batch.seq

    def delete(self, ids: Ids | None = None, *, filter: object = None) -> int:
        """Delete points by id, or all that pass a filter; returns how many there were. Absent ids are no error."""
        upkeep = self._writer()
        names = ids_or_filter("delete", ids, filter)
        if names is None:
            deleted = delete_where(self._points, self._selector, parse_filter(filter))
        else:
            deleted = self._points.commit(lambda batch: batch.delete(names))
        upkeep.poke()
        return deleted

    def replace(
        self,
        where: object,
        ids: Ids,
        vectors: object,
        payloads: Sequence[Payload | None] | None = None,
        *,
        if_version: int | None = None,
    ) -> int:
        """Take out all points that pass, and write new ones, in one commit; returns its sequence.

        where: a filter, or a key and the value there, as ("file", "a.pdf"). if_version: the newest version among the
        points that go, 0 if there are none; raises ConflictError where it is another. No reader ever sees half.
        """
        upkeep = self._writer()
        new = self._new_points(ids, vectors, payloads)
        sequence = replace_where(self._points, self._selector, filter_of(where), new, if_version)
        upkeep.written(len(new[0]))
        return sequence

    def set_payload(
        self, payload: Payload, ids: Ids | None = None, *, filter: object = None, key: str | None = None
    ) -> int:
        """Merge keys into payloads, at their top or into the objects at a key; returns how many points there were."""
        payload_bytes(payload)
        at = None if key is None else parse_path(key)
        return self._change_payloads("set_payload", ids, filter, lambda held: merged(held or {}, payload, at))

    def overwrite_payload(self, payload: Payload, ids: Ids | None = None, *, filter: object = None) -> int:
        """Give points this payload in place of theirs; returns how many points there were."""
        payload_bytes(payload)
        return self._change_payloads("overwrite_payload", ids, filter, lambda _: payload)

    def delete_payload(self, keys: Sequence[str], ids: Ids | None = None, *, filter: object = None) -> int:
        """Take what lies at some keys out of payloads; returns how many points there were."""
        paths = [parse_path(key) for key in ([keys] if isinstance(keys, str) else keys)]
        return self._change_payloads("delete_payload", ids, filter, lambda held: held and without(held, paths))

    def clear_payload(self, ids: Ids | None = None, *, filter: object = None) -> int:
        """Take the payloads of points away; returns how many points there were."""
        return self._change_payloads("clear_payload", ids, filter, lambda _: None)

    def create_payload_index(self, key: str, kind: str) -> bool:
        """Index what lies at a key of every payload, now and from now on; returns whether it was not indexed so before.

        kind: keyword, integer, float, bool, datetime, uuid, geo or text. What a filter lets through stays the same; it
        is found sooner. Raises FilterError for a malformed key, InputError for an unknown kind.
        """
        self._writer()
        return create_index(self._points, key, kind)

    def drop_payload_index(self, key: str) -> bool:
        """Drop the indexes on a key; returns whether there was one."""
        self._writer()
        return drop_index(self._points, key)

    # -- how

    def _new_points(
        self, ids: Ids, vectors: object, payloads: Sequence[Payload | None] | None
    ) -> tuple[list[Any], np.ndarray, list[bytes | None] | None]:
        """Points to be written, checked: ids, source rows (n, row_bytes) uint8, payloads."""
        names = as_list(ids)
        prepared = prepare(vectors, self.dim, self.metric) if names else np.zeros((0, self.dim), np.float32)
        if len(names) != len(prepared):
            raise InputError(f"{len(names)} ids for {len(prepared)} vectors")
        if payloads is not None and len(payloads) != len(names):
            raise InputError(f"{len(payloads)} payloads for {len(names)} points")
        raw = None if payloads is None else [payload_bytes(payload) for payload in payloads]
        return names, encode_source(prepared, self.config.kept_source), raw

    def _change_payloads(
        self, verb: str, ids: Ids | None, filter: object, change: Callable[[Payload | None], Payload | None]
    ) -> int:
        """Put what `change` makes of each payload in its place, in one commit."""
        self._writer()
        names = ids_or_filter(verb, ids, filter)

        def changed(held: bytes | None) -> bytes | None:
            return payload_bytes(change(None if held is None else json.loads(held)))

        if names is None:
            return change_where(self._points, self._selector, parse_filter(filter), changed)
        return self._points.commit(lambda batch: batch.change_payloads(names, changed))
