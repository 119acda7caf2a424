"""A folder of collections: open, create, get, list, drop, close."""

import json
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pqdb.backup import back_up, refuse_inside
from pqdb.collection import Collection
from pqdb.config import (
    MAX_NAME,
    CollectionConfig,
    NamedConfig,
    Quantization,
    Rerank,
    Source,
    SparseConfig,
    VectorConfig,
    config_from_dict,
)
from pqdb.errors import (
    ClosedError,
    CollectionExistsError,
    CollectionNotFoundError,
    InputError,
    NotADatabaseError,
    PqdbError,
    ReadOnlyError,
    StorageError,
)
from pqdb.memory import Memory
from pqdb.metric import check_metric
from pqdb.named import NamedCollection
from pqdb.parcel import pack, unpack
from pqdb.quantization.source import row_bytes
from pqdb.query.definitions import maker
from pqdb.store.blocks import BlockStore
from pqdb.store.catalog import Catalog, Names
from pqdb.store.datafile import sync_folder
from pqdb.store.locks import FileLock
from pqdb.store.places import refuse_network
from pqdb.store.points import PointStore
from pqdb.store.slots import index_folder, indexed
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.tended import Tended
from pqdb.upkeep.train import Progress
from pqdb.upkeep.worker import Upkeep

FORBIDDEN = frozenset('<>:"/\\|?*') | frozenset(map(chr, range(32)))
UPKEEP_SHARE = 0.5  # of a core
Metadata = dict[str, Any] | None
UpkeepMode = Literal["background", "manual"]


@dataclass(frozen=True)
class Opening:
    """How a database was opened."""

    read_only: bool
    upkeep: UpkeepMode
    map_size: int | None
    live_queries: bool
    upkeep_share: float
    follow_drift: bool
    memory: Memory
    temporary: bool = False


@dataclass(frozen=True)
class Opened:
    """A collection, and what is to be given back in the end."""

    collection: Collection
    stores: tuple[PointStore | BlockStore, ...]
    upkeep: Upkeep | None


class Database:
    """A folder of collections. Safe to share between threads; several processes may open the same folder."""

    def __init__(self, path: Path, catalog: Catalog, opening: Opening) -> None:
        self.path = path
        self.read_only = opening.read_only
        self._catalog = catalog
        self._opening = opening
        self._closed = False
        self._lock = threading.RLock()
        self._open: dict[str, Opened] = {}  # by uuid
        self._sound: dict[str, Names] = {}  # by uuid: the names it was last found in

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
        _check_name(name)
        _check_metadata(metadata)
        config: CollectionConfig | NamedConfig
        if vectors is not None:
            _refuse_beside_names(dim=dim, metric=metric, quantization=quantization, rerank=rerank, source=source)
            config = NamedConfig.of(vectors)
        elif dim is None:
            raise InputError("a collection needs dim=, or vectors= where they have names")
        else:
            config = CollectionConfig(dim, check_metric(metric), quantization, rerank, source)
        for each in each_of(config):
            self._opening.memory.check(each.dim)
        with self._lock:
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
        self._guard()
        record = self._catalog.names().find(name)
        if record is None:
            raise CollectionNotFoundError(f"there is no collection {name!r} in {self.path}")
        key = str(record["uuid"])
        held = self._open.get(key)  # without the lock: dropping another collection may hold it for a while
        if held is not None:
            return held.collection
        with self._lock:
            held = self._open.get(key)
            if held is None:
                self._release_dropped()
                held = self._open[key] = self._open_named(self._own_name(name), key)
            return held.collection

    def drop_collection(self, name: str) -> bool:
        """Delete a collection and its files; returns whether there was one."""
        self._guard_writing()
        with self._lock:
            with self._catalog.write() as batch:
                record = batch.remove(name)
            if record is None:
                return False
            self._remove_files(str(record["uuid"]))
            return True

    def rename_collection(self, old: str, new: str) -> None:
        """Give a collection another name, in every process at its next call; handles and aliases stay good.

        Raises CollectionNotFoundError, CollectionExistsError where the new name is taken, InputError, ReadOnlyError.
        """
        self._guard_writing()
        _check_name(new)
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
            name = self._own_name(name)
            record = batch.get(name)
            if record is None:
                raise CollectionNotFoundError(f"there is no collection {name!r} in {self.path}")
            metadata = change(record.get("metadata", first))
            _check_metadata(metadata)
            batch.replace(name, {**record, "metadata": metadata})

    def collections(self) -> list[str]:
        """The names there are, sorted."""
        self._guard()
        return sorted(self._catalog.names().collections)

    # -- aliases

    def aliases(self) -> dict[str, str]:
        """Alias → name of the collection it stands for."""
        self._guard()
        return dict(self._catalog.names().aliases)

    def set_alias(self, alias: str, name: str) -> None:
        """Let an alias stand for a collection, whatever it stood for before; every process sees it at its next call.

        Raises CollectionNotFoundError, CollectionExistsError where a collection has that name, InputError.
        """
        self.change_aliases([(alias, name)])

    def drop_alias(self, alias: str) -> bool:
        """Forget an alias; returns whether there was one. Its collection stays."""
        self._guard_writing()
        _check_name(alias)
        with self._catalog.write() as batch:
            return batch.remove_alias(alias)

    def change_aliases(self, changes: Sequence[tuple[str, str | None]]) -> None:
        """Several aliases in one commit: pairs of an alias and the collection it is to stand for, None to forget it."""
        self._guard_writing()
        for alias, _ in changes:
            _check_name(alias)
        with self._catalog.write() as batch:
            for alias, name in changes:
                if name is None:
                    batch.remove_alias(alias)
                else:
                    batch.set_alias(alias, name)

    def __getitem__(self, name: str) -> Collection:
        return self.get_collection(name)

    def __contains__(self, name: object) -> bool:
        self._guard()
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
        self._guard()
        refuse_inside(self.path, Path(path))
        back_up(self.path, Path(path), progress)

    def backup_collection(
        self, name: str, file: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> None:
        """Put one collection into a new file, as it is at one moment, while reads and writes go on.

        The file is a tar that unpacks into a database. Raises CollectionNotFoundError, StorageError where there is such
        a file already, DiskFullError.
        """
        self._guard()
        pack(self.path, self._own_name(name), Path(file), progress)

    def restore_collection(self, name: str, file: str | os.PathLike[str]) -> Collection:
        """Let what `backup_collection` put into a file be the collection of this name, or alias, in one commit; what
        was there before is dropped, and aliases stay.

        All of it is checked first: where anything is wrong, nothing is changed. Raises CorruptError, FormatError,
        InputError, ReadOnlyError, StorageError, DiskFullError.
        """
        self._guard_writing()
        _check_name(name)
        key, aside = uuid.uuid4().hex, self.path / f".restoring-{uuid.uuid4().hex}"
        try:
            found = unpack(Path(file), aside)
            for each in each_of(found.config):
                self._opening.memory.check(each.dim)
            with self._lock:
                found.folder.rename(self.path / key)
                self._swap(name, {**found.record, "uuid": key})
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return self.get_collection(name)

    def close(self) -> None:
        """Stop upkeep at its next safe point and give all handles back; a temporary database goes away. Twice is no
        error. Raises StorageError where another thread goes on reading for a minute; what it reads stays open.
        """
        with self._lock:
            self._closed = True
            try:
                for key in list(self._open):
                    self._release(key)
            finally:
                if not self._open:  # else a search that takes long held one up: another call closes the rest
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

    def _guard(self) -> None:
        if self._closed:
            raise ClosedError(f"the database {self.path} is closed")

    def _guard_writing(self) -> None:
        self._guard()
        if self.read_only:
            raise ReadOnlyError(f"{self.path} was opened read-only")

    def _own_name(self, name: str) -> str:
        """The name that an alias stands for; any other as it is."""
        return self._catalog.names().aliases.get(name, name)

    def _swap(self, name: str, record: dict[str, Any]) -> None:
        """Let a name stand for a collection whose files are in place; what it stood for before is dropped."""
        batch, old = self._catalog.write(), None
        try:
            sync_folder(self.path)
            with batch:
                name = self._own_name(name)
                old = batch.get(name)
                if old is None:
                    batch.add(name, record)
                else:
                    batch.replace(name, record)
        finally:
            if not batch.committed:  # as it may be where an interrupt came behind the commit
                shutil.rmtree(self.path / record["uuid"], ignore_errors=True)
            elif old is not None:
                self._remove_files(str(old["uuid"]))

    def _create_stores(self, folder: Path, manifest: dict[str, Any], config: CollectionConfig | NamedConfig) -> None:
        """The environments of a new collection: one for its points, one for the index of each vector."""
        size = self._opening.map_size
        sizes = [row_bytes(each.dim, each.kept_source) for each in each_of(config)]
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

    def _open_named(self, name: str, key: str) -> Opened:
        """Open a collection, which another process may have dropped since its name was read."""
        try:
            return self._open_collection(name, key)
        except PqdbError:
            record = self._catalog.names().find(name)
            if record is None or record["uuid"] != key:
                raise CollectionNotFoundError(f"there is no collection {name!r} in {self.path} any more") from None
            raise

    def _open_collection(self, name: str, key: str) -> Opened:
        folder, size = self.path / key, self._opening.map_size
        with ExitStack() as opened:
            points = opened.enter_context(
                PointStore.open(folder / "points", self.read_only, map_size=size, maker=maker)
            )
            slots = indexed(points.geometry)
            blocks = [
                opened.enter_context(BlockStore.open(folder / index_folder(slot), self.read_only, map_size=size))
                for slot in slots
            ]
            manifest = points.manifest
            config = config_from_dict(manifest["config"])
            configs = each_of(config)
            for each in configs:
                self._opening.memory.check(each.dim)
            upkeep = None if self.read_only else self._upkeep_of(folder, points, configs, blocks)
            opened.pop_all()
        metadata = partial(self._metadata_of, name, key, manifest["metadata"])
        guard = partial(self._guard_collection, name, key)
        if isinstance(config, NamedConfig):
            named = NamedCollection(name, config, metadata, points, blocks, upkeep, guard)
            return Opened(named, (points, *blocks), upkeep)
        tended = None if upkeep is None else (upkeep, upkeep.tended[0])
        collection = Collection(name, config, metadata, (points, blocks[0]), tended, guard, {"": slots[0]})
        return Opened(collection, (points, *blocks), upkeep)

    def _upkeep_of(
        self, folder: Path, points: PointStore, configs: Sequence[CollectionConfig], blocks: Sequence[BlockStore]
    ) -> Upkeep:
        """What keeps the indexes of a collection's vectors in step with its points; begun, unless it is by hand."""
        opening, tended = self._opening, []
        for slot, config, each in zip(indexed(points.geometry), configs, blocks, strict=True):
            store = points.slot(slot) if slot else points
            stores = Stores(config, store, each, opening.follow_drift, memory=opening.memory)
            tended.append(Tended(stores, opening.live_queries))
        upkeep = Upkeep(points, tended, FileLock(folder / "upkeep.lock"), opening.upkeep_share, opening.memory)
        if opening.upkeep == "background":
            upkeep.start()
        return upkeep

    def _metadata_of(self, name: str, key: str, first: dict[str, Any] | None) -> dict[str, Any] | None:
        """A collection's metadata: what was set last, by any process, or what it was made with."""
        names = self._catalog.names()
        record = names.find(name)
        if record is None or record["uuid"] != key:  # renamed
            record = next((other for other in names.collections.values() if other["uuid"] == key), {})
        changed: dict[str, Any] | None = record.get("metadata", first)
        return changed

    def _guard_collection(self, name: str, key: str) -> None:
        """Raise if this collection is closed here, or was dropped by anyone. A fraction of a microsecond."""
        if self._catalog.still(self._sound.get(key)):  # looked up in these names before, and not closed since
            return
        self._guard()
        names = self._catalog.names()
        held = self._open.get(key)
        now = next((other for other, record in names.collections.items() if record["uuid"] == key), None)
        if now is None:
            if self._lock.acquire(blocking=False):  # who has it may wait for us: the next one to come releases it then
                try:
                    self._release(key)
                finally:
                    self._lock.release()
            again = "" if names.find(name) is None else "; another has its name now: get it again"
            raise ClosedError(f"collection {name!r} was dropped{again}")
        if held is not None:
            held.collection.name = now  # it may have been renamed, by anyone
            self._sound[key] = names

    def _release_dropped(self) -> None:
        """Give back what is open of collections that other processes dropped."""
        there = {record["uuid"] for record in self._catalog.names().collections.values()}
        for key in [key for key in self._open if key not in there]:
            with suppress(StorageError):  # somebody goes on reading it: another time
                self._release(key)

    def _remove_files(self, key: str) -> None:
        """Give back a collection that no name stands for any more, and delete its files."""
        try:
            self._release(key)
        finally:
            shutil.rmtree(self.path / key, ignore_errors=True)

    def _release(self, key: str) -> None:
        """Give back the handles of a collection that is open; once more, where it was held up."""
        self._sound.pop(key, None)
        held = self._open.get(key)
        if held is not None:
            if held.upkeep is not None:
                held.upkeep.stop()
            for store in held.stores:
                store.close()
            self._open.pop(key, None)


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
        return _open(made, opening)
    return _open(Path(path), Opening(read_only, upkeep, map_size, live_queries, upkeep_share, follow_drift, memory))


def _open(path: Path, opening: Opening) -> Database:
    _refuse_address(str(path))
    if path.exists() and not path.is_dir():
        raise NotADatabaseError(f"{path} is a file; a pqdb database is a folder")
    refuse_network(path)
    home = path / "catalog"
    if not home.is_dir():
        _refuse_others(path, home)
        if opening.read_only:
            raise NotADatabaseError(f"{path} is not a pqdb database, and read_only=True makes none")
        try:
            return Database(path, Catalog.create(home, map_size=opening.map_size), opening)
        except StorageError:
            if not home.is_dir():
                raise
            # another process was faster
    return Database(path, Catalog.open(home, opening.read_only, map_size=opening.map_size), opening)


def _refuse_others(path: Path, home: Path) -> None:
    """Raise NotADatabaseError for a folder with files of others. A catalog that somebody is making just now, or was
    killed over, lies there under another name first.
    """
    others = [each for each in path.iterdir() if not each.name.startswith(f".{home.name}-")] if path.is_dir() else []
    if others and not home.is_dir():
        raise NotADatabaseError(f"{path} is not a pqdb database: it holds other files and no catalog")


def _refuse_address(path: str) -> None:
    """Raise NotADatabaseError for what other libraries take in place of a folder."""
    if path == ":memory:":
        raise NotADatabaseError('":memory:" is no folder; without a path, open() makes a temporary database')
    if re.match(r"[a-z]+:/", path):  # Path makes one slash of two
        raise NotADatabaseError(f"{path} is an address; open() takes a folder, and Qdrant's client talks to a server")


def _refuse_beside_names(**given: object) -> None:
    """Raise InputError for what belongs into the configuration of each vector."""
    usual = {"dim": None, "metric": "cosine", "quantization": None, "rerank": "auto", "source": "float32"}
    odd = [name for name, value in given.items() if value != usual[name]]
    if odd:
        raise InputError(f"vectors= gives each vector a VectorConfig of its own: {', '.join(odd)} belongs there")


def each_of(config: CollectionConfig | NamedConfig) -> list[CollectionConfig]:
    """What each vector of a collection is made with that has an index of its own."""
    return list(config.vectors.values()) if isinstance(config, NamedConfig) else [config]


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
        raise InputError(f"a collection's name has 1 to {MAX_NAME} characters, not {name!r}")
    if not name.isprintable() and any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"a collection's name is valid Unicode, not {name!r}")
    bad = FORBIDDEN.intersection(name)
    if bad or name in (".", ".."):
        raise InputError(f"a collection's name cannot hold {sorted(bad) or name!r}: {name!r}")


def _check_metadata(metadata: object) -> None:
    """Raise InputError for what would not come back from the manifest."""
    if metadata is not None and not isinstance(metadata, dict):
        raise InputError(f"metadata are a JSON object (dict), not {type(metadata).__name__}")
    try:
        json.dumps(metadata, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InputError(f"metadata cannot be stored as JSON: {problem}") from None
