"""A folder of collections: open, create, get, list, drop, close."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pqdb.backup import back_up, refuse_inside
from pqdb.collection import Collection
from pqdb.config import CollectionConfig, NamedConfig, Quantization, Rerank, Source, SparseConfig, VectorConfig
from pqdb.database.asked import Metadata, check_metadata, check_name, refuse_beside_names
from pqdb.database.handles import Handles
from pqdb.database.opening import UPKEEP_SHARE, Opening, UpkeepMode, catalog_of
from pqdb.errors import CollectionExistsError, CollectionNotFoundError, InputError, ReadOnlyError
from pqdb.memory import Memory
from pqdb.metric import check_metric
from pqdb.parcel import aside_of, clear_abandoned, pack, unpack
from pqdb.quantization.source import row_bytes
from pqdb.store.blocks import BlockStore
from pqdb.store.catalog import Catalog
from pqdb.store.datafile import sync_folder
from pqdb.store.points import PointStore
from pqdb.store.slots import index_folder, indexed
from pqdb.upkeep.train import Progress


class Database:
    """A folder of collections. Safe to share between threads; several processes may open the same folder."""

    def __init__(self, path: Path, catalog: Catalog, opening: Opening) -> None:
        self.path = path
        self.read_only = opening.read_only
        self._catalog = catalog
        self._opening = opening
        self._handles = Handles(path, catalog, opening)

    # -- collections

    def create_collection(
        self,
        name: str,
        dim: int | None = None,
        metric: str = "cosine",
        *,
        vectors: Mapping[str, VectorConfig | SparseConfig] | None = None,
        quantization: Quantization | None = None,
        rerank: Rerank | None = "auto",
        source: Source | None = "float32",
        metadata: dict[str, Any] | None = None,
        exist_ok: bool = False,
    ) -> Collection:
        """Make a collection: of one vector a point, with `dim`, `metric` and so on, or of `vectors` with names, each
        with a VectorConfig of its own, or a SparseConfig; "" is the name of one without. Raises CollectionExistsError
        (unless exist_ok and it is made alike), InputError, ReadOnlyError.
        """
        self._guard_writing()
        check_name(name)
        check_metadata(metadata)
        config: CollectionConfig | NamedConfig
        if vectors is not None:
            refuse_beside_names(dim=dim, metric=metric, quantization=quantization, rerank=rerank, source=source)
            config = NamedConfig.of(vectors)
        elif dim is None:
            raise InputError("a collection needs dim=, or vectors= where they have names")
        else:
            config = CollectionConfig(dim, check_metric(metric), quantization, rerank, source)
        self._opening.check(config)
        with self._handles.lock:
            if self._catalog.names().find(name) is not None:
                return self._same(name, config, exist_ok)
            key = uuid.uuid4().hex
            folder = self.path / key
            manifest = {"config": config.to_dict(), "metadata": metadata}
            batch = self._catalog.write()
            try:
                self._create_stores(folder, manifest, config)
                with batch:
                    batch.add(name, {"uuid": key})
            except CollectionExistsError:  # another process was faster
                return self._same(name, config, exist_ok)
            finally:
                if not batch.committed:  # as it may be where an interrupt came behind the commit
                    shutil.rmtree(folder, ignore_errors=True)
            return self.get_collection(name)

    def get_collection(self, name: str) -> Collection:
        """The collection of this name, or alias. Raises CollectionNotFoundError."""
        return self._handles.get(name)

    def drop_collection(self, name: str) -> bool:
        """Delete a collection and its files; returns whether there was one."""
        self._guard_writing()
        with self._handles.lock:
            with self._catalog.write() as batch:
                record = batch.remove(name)
            if record is None:
                return False
            self._handles.remove_files(str(record["uuid"]))
            return True

    def rename_collection(self, old: str, new: str) -> None:
        """Give a collection another name, in every process at its next call; handles and aliases stay good.

        Raises CollectionNotFoundError, CollectionExistsError where the new name is taken, InputError, ReadOnlyError.
        """
        self._guard_writing()
        check_name(new)
        with self._catalog.write() as batch:
            batch.rename(old, new)

    def set_metadata(self, name: str, metadata: dict[str, Any] | None) -> None:
        """Replace a collection's metadata, a JSON object. Raises CollectionNotFoundError, InputError, ReadOnlyError."""
        self._put_metadata(name, None, lambda _: metadata)

    def change_metadata(self, name: str, change: Callable[[Metadata], Metadata]) -> None:
        """Put what `change` makes of a collection's metadata in their place, in one commit: nobody else's change comes
        in between. Raises what it raises, and as set_metadata does.
        """
        self._put_metadata(name, self.get_collection(name).metadata, change)

    def _put_metadata(self, name: str, first: Metadata, change: Callable[[Metadata], Metadata]) -> None:
        """first: those of when the collection was made, for one that was given none since."""
        self._guard_writing()
        with self._catalog.write() as batch:
            name = self._catalog.names().own(name)
            record = batch.get(name)
            if record is None:
                raise CollectionNotFoundError(f"there is no collection {name!r} in {self.path}")
            metadata = change(record.get("metadata", first))
            check_metadata(metadata)
            batch.replace(name, {**record, "metadata": metadata})

    def collections(self) -> list[str]:
        """The names there are, sorted."""
        self._handles.guard()
        return sorted(self._catalog.names().collections)

    # -- aliases

    def aliases(self) -> dict[str, str]:
        """Alias → name of the collection it stands for."""
        self._handles.guard()
        return dict(self._catalog.names().aliases)

    def set_alias(self, alias: str, name: str) -> None:
        """Let an alias stand for a collection, whatever it stood for before; every process sees it at its next call.

        Raises CollectionNotFoundError, CollectionExistsError where a collection has that name, InputError.
        """
        self.change_aliases([(alias, name)])

    def drop_alias(self, alias: str) -> bool:
        """Forget an alias; returns whether there was one. Its collection stays."""
        self._guard_writing()
        check_name(alias)
        with self._catalog.write() as batch:
            return batch.remove_alias(alias)

    def change_aliases(self, changes: Sequence[tuple[str, str | None]]) -> None:
        """Several aliases in one commit: pairs of an alias and the collection it is to stand for, None to forget it."""
        self._guard_writing()
        for alias, _ in changes:
            check_name(alias)
        with self._catalog.write() as batch:
            for alias, name in changes:
                if name is None:
                    batch.remove_alias(alias)
                else:
                    batch.set_alias(alias, name)

    def __getitem__(self, name: str) -> Collection:
        return self.get_collection(name)

    def __contains__(self, name: object) -> bool:
        self._handles.guard()
        return isinstance(name, str) and self._catalog.names().find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.collections())

    def __len__(self) -> int:
        return len(self.collections())

    # -- life

    def backup(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
        """Copy the database into a new folder while reads and writes go on; the copy is a database.

        Every collection is one snapshot, all of them of one moment. A process of its own copies; progress(collection,
        share of the bytes done). Raises StorageError where there is something already, DiskFullError.
        """
        self._handles.guard()
        refuse_inside(self.path, Path(path))
        back_up(self.path, Path(path), progress)

    def backup_collection(self, name: str, file: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
        """Put one collection into a new file, as it is at one moment, while reads and writes go on.

        The file is a tar that unpacks into a database. Raises CollectionNotFoundError, StorageError where there is such
        a file already, DiskFullError.
        """
        self._handles.guard()
        pack(self.path, self._catalog.names().own(name), Path(file), progress)

    def restore_collection(self, name: str, file: str | os.PathLike[str]) -> Collection:
        """Let what `backup_collection` put into a file be the collection of this name, or alias, in one commit; what
        was there before is dropped, and aliases stay.

        All of it is checked first: where anything is wrong, nothing is changed. Raises CorruptError, FormatError,
        InputError, ReadOnlyError, StorageError, DiskFullError.
        """
        self._guard_writing()
        check_name(name)
        for folder in (self.path, Path(file).parent):
            clear_abandoned(folder)
        key, aside = uuid.uuid4().hex, aside_of(self.path, "restoring")
        try:
            found = unpack(Path(file), aside)
            self._opening.check(found.config)
            with self._handles.lock:
                found.folder.rename(self.path / key)
                self._swap(name, {**found.record, "uuid": key})
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return self.get_collection(name)

    def close(self) -> None:
        """Stop upkeep at its next safe point and give all handles back; a temporary database goes away. Twice is no
        error. Raises StorageError where another thread goes on reading for a minute; what it reads stays open.
        """
        with self._handles.lock:
            try:
                self._handles.close()
            finally:
                if not self._handles.any_open:  # else a long search held one up: another call closes the rest
                    self._catalog.close()
                    if self._opening.temporary:
                        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r}{', read_only=True' if self.read_only else ''})"

    # -- how

    def _guard_writing(self) -> None:
        self._handles.guard()
        if self.read_only:
            raise ReadOnlyError(f"{self.path} was opened read-only")

    def _swap(self, name: str, record: dict[str, Any]) -> None:
        """Let a name stand for a collection whose files are in place; what it stood for before is dropped."""
        batch, old = self._catalog.write(), None
        try:
            sync_folder(self.path)
            with batch:
                name = self._catalog.names().own(name)
                old = batch.get(name)
                if old is None:
                    batch.add(name, record)
                else:
                    batch.replace(name, record)
        finally:
            if not batch.committed:  # as it may be where an interrupt came behind the commit
                shutil.rmtree(self.path / record["uuid"], ignore_errors=True)
            elif old is not None:
                self._handles.remove_files(str(old["uuid"]))

    def _create_stores(self, folder: Path, manifest: dict[str, Any], config: CollectionConfig | NamedConfig) -> None:
        """The environments of a new collection: one for its points, one for the index of each vector."""
        size = self._opening.map_size
        sizes = [row_bytes(each.dim, each.kept_source) for each in config.indexed]
        rows, n_sparse = (sizes, len(config.sparse)) if isinstance(config, NamedConfig) else (sizes[0], 0)
        with PointStore.create(folder / "points", manifest, rows, n_sparse, map_size=size) as points:
            for slot in indexed(points.geometry):
                BlockStore.create(folder / index_folder(slot), map_size=size).close()

    def _same(self, name: str, config: CollectionConfig | NamedConfig, exist_ok: bool) -> Collection:
        """An existing collection, if it may be taken for the one asked for."""
        if not exist_ok:
            raise CollectionExistsError(f"there is a collection {name!r} in {self.path} already")
        held = self.get_collection(name)
        if held.config != config:
            raise CollectionExistsError(
                f"collection {name!r} is there already, made otherwise: {held.config}, not {config}"
            )
        return held


def open_database(
    path: str | os.PathLike[str] | None = None,
    *,
    read_only: bool = False,
    upkeep: UpkeepMode = "background",
    map_size: int | None = None,
    live_queries: bool = True,
    upkeep_share: float = UPKEEP_SHARE,
    follow_drift: bool = True,
    memory_limit: int | str | None = None,
) -> Database:
    """Open a database folder, made if it is not there; without a path a temporary one that is gone on close.

    upkeep: "background" trains and indexes in a thread of its own; "manual" leaves it to optimize(). live_queries: keep
    a few hundred of the queries asked, in memory, to learn from them what a recall takes. upkeep_share: how much of one
    core background upkeep may take, on average. follow_drift: split and merge lists, learn anew what a recall takes,
    and try new generations as the data move. memory_limit: bytes, or text such as "512MB", that the process's anonymous
    memory may grow by for training, indexing, compaction, calibration and searches. Raises InputError for a limit that
    is too small, NotADatabaseError for a path that is something else, FormatError, CorruptError, StorageError and kin.
    """
    if upkeep not in ("background", "manual"):
        raise InputError(f'upkeep={upkeep!r} is not one of "background", "manual"')
    if not 0 < upkeep_share <= 1:
        raise InputError(f"upkeep_share must be above 0 and at most 1, not {upkeep_share!r}")
    memory = Memory(memory_limit)
    if path is None:
        made = Path(tempfile.mkdtemp(prefix="pqdb-"))
        opening = Opening(False, upkeep, map_size, live_queries, upkeep_share, follow_drift, memory, temporary=True)
        return Database(made, catalog_of(made, opening), opening)
    opening = Opening(read_only, upkeep, map_size, live_queries, upkeep_share, follow_drift, memory)
    return Database(Path(path), catalog_of(Path(path), opening), opening)
