"""A collection whose vectors have names: points are written and read as in any other, and searched by one vector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pqdb.collection import Collection
from pqdb.config import CollectionConfig, NamedConfig, VectorConfig
from pqdb.errors import InputError, PointNotFoundError
from pqdb.hits import Explanation, Group, Hits, Id, RecallReport
from pqdb.metric import Metric, prepare
from pqdb.quantization.source import decode_source, encode_source, row_bytes
from pqdb.query.writing import chosen
from pqdb.store.batch import PointBatch
from pqdb.store.blocks import BlockStore
from pqdb.store.layout import bits_at
from pqdb.store.points import PointStore
from pqdb.store.slots import Given, Sources, index_folder
from pqdb.store.view import PointView
from pqdb.upkeep.report import NOTHING_BESIDE, together
from pqdb.upkeep.tended import Tended
from pqdb.upkeep.train import Progress
from pqdb.upkeep.worker import Upkeep
from pqdb.verbs.base import UNNAMED, Guard, Metadata, Verbs
from pqdb.verbs.given import Ids, Wanted, ids_or_filter, which


@dataclass(frozen=True)
class Vectors:
    """The vectors of points, by their names."""

    configs: Mapping[str, VectorConfig]
    slots: Mapping[str, int]

    @classmethod
    def of(cls, config: NamedConfig) -> "Vectors":
        """Slots count from 1, in the order of the names."""
        return cls(config.vectors, {name: slot for slot, name in enumerate(config.vectors, 1)})

    def shown(self, points: PointView, rows: np.ndarray, names: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """What each of rows (n,) has of these: name → (dim,) float32."""
        shown: list[dict[str, np.ndarray]] = [{} for _ in rows]
        for name in names:
            config, view = self.configs[name], points.of_slot(self.slots[name])
            there = np.flatnonzero(bits_at(view.live, rows))
            found = decode_source(view.source_of(rows[there]), config.dim, config.kept_source)
            for place, vector in zip(there.tolist(), found, strict=True):
                shown[place][name] = vector
        return shown


class OneVector(Collection):
    """What one of several vectors is searched by. Only NamedCollection has it."""

    def __init__(
        self,
        vector: str,
        vectors: Vectors,
        name: str,
        metadata: Metadata,
        stores: tuple[PointStore, BlockStore],
        upkeep: tuple[Upkeep, Tended] | None,
        guard: Guard,
    ) -> None:
        super().__init__(name, vectors.configs[vector], metadata, stores, upkeep, guard, vectors.slots)
        self._vector = vector
        self._all = vectors
        self.slot = vectors.slots[vector]

    def facts(self, resources: bool) -> dict[str, Any]:
        """What `info()` tells of the vector."""
        return self._facts(resources)

    def index_problems(self) -> list[str]:
        """What in its index is not what was written."""
        return self._index_problems()

    def disagreements(self) -> list[str]:
        """What index and points do not agree on."""
        return self._disagreements()

    def _shown(self, points: PointView, rows: np.ndarray, wanted: Wanted) -> Sequence[Any]:
        return self._all.shown(points, rows.astype(np.int64), self._names(wanted))

    def _refuse_name(self, name: str | None) -> None:
        super()._refuse_name(name or self._vector)

    def _row_of_example(self, points: PointView, example: Id) -> int:
        row = super()._row_of_example(points, example)
        if not points.live[row >> 3] >> (row & 7) & 1:
            raise PointNotFoundError(f"point {example!r} of collection {self.name!r} has no vector {self._vector!r}")
        return row


class NamedCollection(Collection):
    """Points with several vectors, each of its own dimension and metric. Made by Database; threads may share it."""

    config: NamedConfig  # type: ignore[assignment]  # what has no `dim` says so

    def __init__(
        self,
        name: str,
        config: NamedConfig,
        metadata: Metadata,
        points: PointStore,
        blocks: Sequence[BlockStore],
        upkeep: Upkeep | None,
        guard: Guard,
    ) -> None:
        self._all = Vectors.of(config)
        self._by_name: dict[str, OneVector] = {}
        Verbs.__init__(self, name, metadata, points, upkeep, guard, self._all.slots)
        self.config = config
        for number, vector in enumerate(config.vectors):
            stores = points.slot(number + 1), blocks[number]
            tended = None if upkeep is None else (upkeep, upkeep.tended[number])
            self._by_name[vector] = OneVector(vector, self._all, name, metadata, stores, tended, guard)

    @property
    def name(self) -> str:
        """The name it has now."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        for one in self._by_name.values():
            one.name = name

    @property
    def is_held_up(self) -> bool:
        return any(one.is_held_up for one in self._by_name.values())

    @property
    def dim(self) -> int:
        raise InputError(f"the vectors of collection {self.name!r} have names: vectors[name].dim is that of each")

    @property
    def metric(self) -> Metric:
        raise InputError(f"the vectors of collection {self.name!r} have names: vectors[name].metric is that of each")

    @property
    def vectors(self) -> Mapping[str, CollectionConfig]:
        return dict(self.config.vectors)

    def __repr__(self) -> str:
        vectors = ", ".join(f"{name!r}: {each.dim} {each.metric}" for name, each in self.config.vectors.items())
        return f"Collection({self.name!r}, vectors={{{vectors}}})"

    # -- by one vector

    def search(self, query: object, k: int = 10, *, using: str | None = None, **how: Any) -> Any:
        return self._of(using).search(query, k, **how)

    def search_groups(
        self,
        query: object,
        group_by: str,
        limit: int = 10,
        group_size: int = 3,
        *,
        using: str | None = None,
        **how: Any,
    ) -> list[Group]:
        return self._of(using).search_groups(query, group_by, limit, group_size, **how)

    def search_mmr(self, query: object, k: int = 10, *, using: str | None = None, **how: Any) -> Hits:
        return self._of(using).search_mmr(query, k, **how)

    def recommend(
        self,
        positive: Sequence[object] | np.ndarray = (),
        negative: Sequence[object] | np.ndarray = (),
        k: int = 10,
        *,
        using: str | None = None,
        **how: Any,
    ) -> Hits:
        return self._of(using).recommend(positive, negative, k, **how)

    def explain(self, query: object, k: int = 10, *, using: str | None = None, **how: Any) -> Explanation:
        return self._of(using).explain(query, k, **how)

    def measure_recall(
        self, k: int = 10, queries: object = None, *, using: str | None = None, **how: Any
    ) -> RecallReport:
        return self._of(using).measure_recall(k, queries, **how)

    def lists_of(self, vectors: object, *, using: str | None = None) -> np.ndarray | None:
        return self._of(using).lists_of(vectors)

    # -- writing

    def delete_vectors(self, names: str | Sequence[str], ids: Ids | None = None, *, filter: object = None) -> int:
        upkeep = self._writer()
        given = [names] if isinstance(names, str) else list(names)
        for name in given:
            self._refuse_name(name)
        slots, points = [self._slots[name] for name in given], ids_or_filter("delete_vectors", ids, filter)
        if points is not None:
            changed = self._points.commit(lambda batch: batch.drop_vectors(points, slots))
        else:
            asked = which(filter)
            with self._points.write() as batch:
                changed = batch.drop_vectors(chosen(batch, self._points, self._selector, asked)[0], slots)
        upkeep.poke()
        return changed

    # -- care

    def train(self, progress: Progress | None = None, *, using: str | None = None) -> None:
        upkeep = self._writer()
        chosen_ones = upkeep.tended if using is None else [upkeep.tended[self._of(using).slot - 1]]
        upkeep.run(chosen_ones, progress)

    def rollback(self, *, using: str | None = None) -> int:
        upkeep = self._writer()
        return upkeep.roll_back(upkeep.tended[self._of(using).slot - 1])

    def info(self, resources: bool = True) -> dict[str, Any]:
        self._guard()
        facts = {name: one.facts(resources) for name, one in self._by_name.items()}
        with self._points.read() as points:
            counts = {"points": points.n_live, "dead_rows": points.rows_on_disk - points.n_live, "sequence": points.seq}
        return {
            "name": self.name,
            "metadata": self.metadata,
            **together(facts),
            **counts,
            "config": self.config.to_dict(),
            "vectors": facts,
            **({"disk": self._disk(facts)} if resources else {}),
            "payload_indexes": self.payload_indexes,
            "upkeep": self._working(self._upkeep.tended if self._upkeep else ()),
        }

    # -- how

    def _disk(self, facts: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Of all files, out of what each vector told of its own and the points'."""
        disk = {"points": self._points.stats(), "beside": NOTHING_BESIDE}
        for name, one in self._by_name.items():
            apart = facts[name].pop("disk")
            disk[index_folder(one.slot)], disk["beside"] = apart["index"], apart["beside"]
        return disk

    def _index_problems(self) -> list[str]:
        return [problem for one in self._by_name.values() for problem in one.index_problems()]

    def _disagreements(self) -> list[str]:
        return [problem for one in self._by_name.values() for problem in one.disagreements()]

    def _of(self, using: str | None) -> OneVector:
        """The vector of a name. Raises InputError."""
        self._guard()
        name = UNNAMED if using is None else using
        if using is None and name not in self._by_name:
            which = ": using= says which" if self._slots else " to search by"
            raise InputError(f"collection {self.name!r} has {self._held()}{which}")
        self._refuse_name(name)
        return self._by_name[name]

    def _shown(self, points: PointView, rows: np.ndarray, wanted: Wanted) -> Sequence[Any]:
        return self._all.shown(points, rows.astype(np.int64), self._names(wanted))

    def _sources(self, n: int, vectors: object) -> Sources:
        """What every slot is given for n points."""
        if not isinstance(vectors, Mapping):
            raise InputError(f"collection {self.name!r} has {self._held()}: give a mapping of names to vectors")
        for name in vectors:
            self._refuse_name(name)
        given = {name: _given(n, vectors.get(name), name, config) for name, config in self.config.vectors.items()}
        return {self._slots[name]: each for name, each in given.items()}

    def _in_place(self, batch: PointBatch, names: Sequence[Any], given: Sources) -> Sources:  # type: ignore[override]
        """What points have once they are given other vectors: those they are given, else those they had."""
        held = batch.sources_of(names)
        return {
            slot: Given(np.where(new.has[:, None], new.rows, held[slot].rows), new.has | held[slot].has)
            for slot, new in given.items()
        }


def _given(n: int, vectors: Any, name: str, config: VectorConfig) -> Given:
    """Source rows of one vector for n points, some of which may be None. Raises InputError and kin."""
    has, rows = np.zeros(n, bool), np.zeros((n, row_bytes(config.dim, config.kept_source)), np.uint8)
    if vectors is None or not n:
        return Given(rows, has)
    held = vectors
    if isinstance(vectors, np.ndarray) and vectors.dtype != object:
        has[:] = True
    else:
        listed = _one_a_point(n, vectors, name)
        has[:] = [each is not None for each in listed]
        held = [each for each in listed if each is not None]
    prepared = prepare(held, config.dim, config.metric) if has.any() else np.zeros((0, config.dim), np.float32)
    if len(prepared) != int(has.sum()):
        raise InputError(f"{n} ids for {len(prepared)} vectors {name!r}")
    rows[has] = encode_source(prepared, config.kept_source)
    return Given(rows, has)


def _one_a_point(n: int, vectors: Any, name: str) -> list[Any]:
    """A vector or None for each of n points; a single point's may stand alone."""
    if not isinstance(vectors, Sequence | np.ndarray) or isinstance(vectors, str):
        raise InputError(f"vectors {name!r} must be a sequence, one a point, not {type(vectors).__name__}")
    listed = list(vectors)
    if n == 1 and listed and isinstance(listed[0], int | float | np.number):
        listed = [listed]
    if len(listed) != n:
        raise InputError(f"{n} ids for {len(listed)} vectors {name!r}")
    return listed
