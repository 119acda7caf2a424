"""A collection whose vectors have names: points are written and read as in any other, and searched by one vector."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pqdb.collection import Collection
from pqdb.config import CollectionConfig, NamedConfig, SparseConfig
from pqdb.errors import InputError
from pqdb.hits import Explanation, Group, Hits, RecallReport
from pqdb.metric import Metric
from pqdb.named.one import OneSparse, OneVector
from pqdb.named.vectors import Vectors
from pqdb.query.writing import chosen
from pqdb.store.batch import PointBatch
from pqdb.store.blocks import BlockStore
from pqdb.store.points import PointStore
from pqdb.store.slots import Sources, index_folder
from pqdb.store.view import PointView
from pqdb.upkeep.report import NOTHING_BESIDE, together
from pqdb.upkeep.train import Progress
from pqdb.upkeep.worker import Upkeep
from pqdb.verbs.base import UNNAMED, Guard, Metadata, Verbs
from pqdb.verbs.given import Ids, Wanted, ids_or_filter, which


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
        self._sparse: dict[str, OneSparse] = {}
        Verbs.__init__(self, name, metadata, points, upkeep, guard, self._all.slots)
        self.config = config
        for number, (vector, each) in enumerate(config.vectors.items()):
            stores = points.slot(number + 1), blocks[number]
            tended = None if upkeep is None else (upkeep, upkeep.tended[number])
            self._by_name[vector] = OneVector(vector, each, self._all, name, metadata, stores, tended, guard)
        for vector, sparse in config.sparse.items():
            store = points.slot(self._slots[vector])
            self._sparse[vector] = OneSparse(vector, sparse, self._all, name, metadata, store, guard)

    @property
    def name(self) -> str:
        """The name it has now."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        for one in (*self._by_name.values(), *self._sparse.values()):
            one.name = name

    @property
    def is_held_up(self) -> bool:
        return self._points.is_held_up or any(one.is_held_up for one in self._by_name.values())

    @property
    def dim(self) -> int:
        raise InputError(f"the vectors of collection {self.name!r} have names: vectors[name].dim is that of each")

    @property
    def metric(self) -> Metric:
        raise InputError(f"the vectors of collection {self.name!r} have names: vectors[name].metric is that of each")

    @property
    def vectors(self) -> Mapping[str, CollectionConfig]:
        return dict(self.config.vectors)

    @property
    def sparse_vectors(self) -> Mapping[str, SparseConfig]:
        return dict(self.config.sparse)

    def __repr__(self) -> str:
        vectors = [f"{name!r}: {each.dim} {each.metric}" for name, each in self.config.vectors.items()]
        vectors += [f"{name!r}: sparse" for name in self.config.sparse]
        return f"Collection({self.name!r}, vectors={{{', '.join(vectors)}}})"

    # -- by one vector

    def search(self, query: object, k: int = 10, *, using: str | None = None, **how: Any) -> Any:
        return self._any(using).search(query, k, **how)

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
        return self._any(using).search_groups(query, group_by, limit, group_size, **how)

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
            **({"sparse_vectors": self._sparse_facts()} if self._sparse else {}),
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

    def _sparse_facts(self) -> dict[str, Any]:
        """How many points have each, and what it is made with."""
        with self._points.read() as points:
            return {
                name: {"points": points.of_slot(self._slots[name]).n_live, **asdict(config)}
                for name, config in self.config.sparse.items()
            }

    def _index_problems(self) -> list[str]:
        return [problem for one in self._by_name.values() for problem in one.index_problems()]

    def _disagreements(self) -> list[str]:
        return [problem for one in self._by_name.values() for problem in one.disagreements()]

    def _of(self, using: str | None) -> OneVector:
        """The vector of a name, if it is no sparse one. Raises InputError."""
        one = self._any(using)
        if isinstance(one, OneSparse):
            raise InputError(f"vector {using!r} is sparse: search and search_groups are all there is for it")
        return one

    def _any(self, using: str | None) -> OneVector | OneSparse:
        """The vector of a name. Raises InputError."""
        self._guard()
        name = UNNAMED if using is None else using
        if using is None and name not in self._slots:
            which = ": using= says which" if self._slots else " to search by"
            raise InputError(f"collection {self.name!r} has {self._held()}{which}")
        self._refuse_name(name)
        return self._sparse[name] if name in self._sparse else self._by_name[name]

    def _shown(self, points: PointView, rows: np.ndarray, wanted: Wanted) -> Sequence[Any]:
        return self._all.shown(points, rows.astype(np.int64), self._names(wanted))

    def _sources(self, n: int, vectors: object) -> Sources:
        """What every slot is given for n points."""
        if not isinstance(vectors, Mapping) and UNNAMED in self._slots:
            vectors = {UNNAMED: vectors}
        if not isinstance(vectors, Mapping):
            raise InputError(f"collection {self.name!r} has {self._held()}: give a mapping of names to vectors")
        for name in vectors:
            self._refuse_name(name)
        return self._all.given(n, vectors)

    def _in_place(self, batch: PointBatch, names: Sequence[Any], given: Sources) -> Sources:  # type: ignore[override]
        """What points have once they are given other vectors: those they are given, else those they had."""
        held = batch.sources_of(names)
        return {slot: new.over(held[slot]) for slot, new in given.items()}  # type: ignore[arg-type]  # of one kind each
