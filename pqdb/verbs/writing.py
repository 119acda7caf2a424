"""Points written, changed and deleted, and the indexes on their payloads: each verb one commit."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from pqdb.errors import InputError, PayloadError, PointNotFoundError
from pqdb.hits import Payload
from pqdb.metric import prepare
from pqdb.quantization.source import encode_source
from pqdb.query.conditions import Filter
from pqdb.query.indexing import create_index, drop_index
from pqdb.query.parse import parse_filter
from pqdb.query.path import parse_path
from pqdb.query.payloads import merged, without
from pqdb.query.text import Counting, Tokenizer
from pqdb.query.writing import New, Only, change_where, delete_where, permitted, replace_where
from pqdb.store.batch import PointBatch
from pqdb.store.slots import Sources
from pqdb.verbs.base import Verbs
from pqdb.verbs.given import Ids, as_list, ids_or_filter, payload_bytes, payloads_bytes, which


class Writing(Verbs):
    """Commits."""

    def upsert(
        self,
        ids: Ids,
        vectors: object,
        payloads: Sequence[Payload | None] | None = None,
        *,
        only: Only | None = None,
        where: object = None,
    ) -> int:
        """Write points, replacing those of the same id; returns the sequence of the commit, once it is on disk.

        vectors (n, dim) array-like. Where vectors have names, a mapping of such by name, with None in place of a vector
        that a point lacks; a name that is left out all of them lack. Of equal ids in one call the last wins.

        only: "new" leaves ids alone that are there, "known" those that are not. where: a filter, or a key and the value
        there; a point that is there is replaced only if it passes. Both are looked at in the commit itself; if nothing
        is left to write there is none, and the sequence returned is 0.

        Raises InputError and kin (DimensionError, IdError, PayloadError, FilterError) before anything is written,
        ReadOnlyError, StorageError.
        """
        upkeep = self._writer()
        if only not in (None, *get_args(Only)):
            raise InputError(f"only={only!r} is not one of {', '.join(map(repr, get_args(Only)))}")
        asked = self._asked(where)
        new = self._new_points(ids, vectors, payloads)
        if not new[0]:
            raise InputError("an upsert needs at least one point")

        def write(batch: PointBatch) -> tuple[int, int]:
            free = only is None and asked is None
            kept = new if free else permitted(batch, new, self._slots, only, asked)
            return _write(batch, kept), len(kept[0])

        sequence, written = self._points.commit(write)
        upkeep.written(written)
        return sequence

    def set_vectors(self, ids: Ids, vectors: object, *, where: object = None) -> int:
        """Give points other vectors; their payloads stay. Returns the sequence of the commit.

        vectors as for upsert; those of a name that a point is given none of stay. where: as for upsert, only points
        that pass get theirs. Raises PointNotFoundError for an id that is not there, DimensionError and kin; then
        nothing is changed.
        """
        upkeep = self._writer()
        asked = self._asked(where)
        names: Sequence[Any] = as_list(ids)
        if not names:
            raise InputError("there are no ids to set vectors of")
        given = self._sources(len(names), vectors)
        with self._points.write() as batch:
            held = batch.held(names)
            for name, point in zip(names, held, strict=True):
                if point is None:
                    raise PointNotFoundError(f"there is no point {name!r}")
            new: New = names, given, [None if point is None else point.payload for point in held]
            names, given, raw = new if asked is None else permitted(batch, new, self._slots, None, asked)
            sequence = _write(batch, (names, self._in_place(batch, names, given), raw))
        upkeep.poke()
        return sequence

    def delete_vectors(
        self,
        names: str | Sequence[str],  # noqa: ARG002 - where vectors have names it is another verb (pqdb/named)
        ids: Ids | None = None,  # noqa: ARG002
        *,
        filter: object = None,  # noqa: ARG002
    ) -> int:
        """Take the vectors of some names away from points, which stay; returns how many points there were.

        Raises InputError for a name that is not there, and where the vector has no name: every point has that one.
        """
        raise InputError(f"the vector of collection {self.name!r} has no name, and every point has it: delete points")

    def delete(self, ids: Ids | None = None, *, filter: object = None) -> int:
        """Delete points by id, or all that pass a filter; returns how many there were. Absent ids are no error."""
        upkeep = self._writer()
        names = ids_or_filter("delete", ids, filter)
        if names is None:
            deleted = delete_where(self._points, self._selector, which(filter))
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
        if if_version is not None and (isinstance(if_version, bool) or not isinstance(if_version, int | np.integer)):
            raise InputError(f"if_version is the version of a point, a whole number, not {if_version!r}")
        sequence = replace_where(self._points, self._selector, which(where), new, if_version)
        upkeep.written(len(new[0]))
        return sequence

    def set_payload(
        self, payload: Payload, ids: Ids | None = None, *, filter: object = None, key: str | None = None
    ) -> int:
        """Merge keys into payloads, at their top or into the objects at a key; returns how many points there were."""
        _check_object(payload)
        at = None if key is None else parse_path(key)
        return self._change_payloads("set_payload", ids, filter, lambda held: merged(held or {}, payload, at))

    def overwrite_payload(self, payload: Payload, ids: Ids | None = None, *, filter: object = None) -> int:
        """Give points this payload in place of theirs; returns how many points there were."""
        _check_object(payload)
        return self._change_payloads("overwrite_payload", ids, filter, lambda _: payload)

    def delete_payload(self, keys: Sequence[str], ids: Ids | None = None, *, filter: object = None) -> int:
        """Take what lies at some keys out of payloads; returns how many points there were."""
        paths = [parse_path(key) for key in ([keys] if isinstance(keys, str) else keys)]
        return self._change_payloads("delete_payload", ids, filter, lambda held: held and without(held, paths))

    def clear_payload(self, ids: Ids | None = None, *, filter: object = None) -> int:
        """Take the payloads of points away; returns how many points there were."""
        return self._change_payloads("clear_payload", ids, filter, lambda _: None)

    def create_payload_index(
        self,
        key: str,
        kind: str,
        *,
        is_tenant: bool = False,
        min_token_len: int | None = None,
        max_token_len: int | None = None,
        tokenizer: Tokenizer = "word",
    ) -> bool:
        """Index what lies at a key of every payload, now and from now on; returns whether it was not indexed so before.

        kind: keyword, integer, float, bool, datetime, uuid, geo or text. What a filter lets through stays the same; it
        is found sooner. is_tenant: the value says whose a point is, and most searches name one. min_token_len and
        max_token_len, of kind text: words of fewer or more characters count no more, neither in texts nor in what
        filters ask for. tokenizer "multilingual": accents do not count, and texts in scripts without spaces between
        words are found by parts of them. Raises FilterError for a malformed key, InputError for an unknown kind and for
        lengths that no word has.
        """
        self._writer()
        return create_index(self._points, key, kind, is_tenant, Counting(min_token_len, max_token_len, tokenizer))

    def drop_payload_index(self, key: str, kind: str | None = None) -> bool:
        """Drop the indexes on a key, or the one of a kind; returns whether there was one."""
        self._writer()
        return drop_index(self._points, key, kind)

    # -- how

    def _asked(self, where: object) -> Filter | None:
        """What points have to pass to be written over, as the indexes of now have it."""
        if where is None:
            return None
        asked = parse_filter(where)
        with self._points.read() as view:
            return self._selector.asked(view, asked)

    def _new_points(
        self, ids: Ids, vectors: object, payloads: Sequence[Payload | None] | None
    ) -> New:
        """Points to be written, checked."""
        names = as_list(ids)
        self._writer().memory.check_upsert(len(names), sum(each.dim for each in self.vectors.values()))
        rows = self._sources(len(names), vectors)
        return names, rows, None if payloads is None else payloads_bytes(payloads, names)

    def _sources(self, n: int, vectors: object) -> np.ndarray | Sources:
        """Source rows (n, row_bytes) uint8 of the vectors of n points, or those of every slot."""
        if isinstance(vectors, Mapping):
            raise InputError(f"the vector of collection {self.name!r} has no name: give an array, not a mapping")
        prepared = prepare(vectors, self.dim, self.metric) if n else np.zeros((0, self.dim), np.float32)
        if n != len(prepared):
            raise InputError(f"{n} ids for {len(prepared)} vectors")
        return encode_source(prepared, self.config.kept_source)

    def _in_place(
        self,
        batch: PointBatch,  # noqa: ARG002 - who has several vectors looks for the others there
        names: Sequence[Any],  # noqa: ARG002
        given: np.ndarray | Sources,
    ) -> np.ndarray | Sources:
        """What points have once they are given other vectors."""
        return given

    def _change_payloads(
        self, verb: str, ids: Ids | None, filter: object, change: Callable[[Payload | None], Payload | None]
    ) -> int:
        """Put what `change` makes of each payload in its place, in one commit."""
        self._writer()
        names = ids_or_filter(verb, ids, filter)

        def changed(held: bytes | None) -> bytes | None:
            return payload_bytes(change(None if held is None else json.loads(held)))

        if names is None:
            return change_where(self._points, self._selector, which(filter), changed)
        return self._points.commit(lambda batch: batch.change_payloads(names, changed))


def _check_object(payload: Payload) -> None:
    """Raises PayloadError for what is no JSON object; for None, too, which takes nothing away here."""
    if payload_bytes(payload) is None:
        raise PayloadError("a payload is a JSON object, not None; clear_payload takes payloads away")


def _write(batch: PointBatch, points: New) -> int:
    """Put points into a batch; returns its sequence, 0 where there are none."""
    if not points[0]:
        return 0
    batch.upsert(*points)
    return batch.seq
