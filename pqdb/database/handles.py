"""The collections of a database that are open in this process: opened when first asked for, and given back."""

import shutil
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pqdb.collection import Collection
from pqdb.config import CollectionConfig, NamedConfig, config_from_dict
from pqdb.database.asked import Metadata
from pqdb.database.opening import Opening
from pqdb.errors import ClosedError, CollectionNotFoundError, PqdbError, StorageError
from pqdb.named import NamedCollection
from pqdb.query.definitions import maker
from pqdb.store.blocks import BlockStore
from pqdb.store.catalog import Catalog, Names
from pqdb.store.locks import FileLock
from pqdb.store.points import PointStore
from pqdb.store.slots import index_folder, indexed
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.tended import Tended
from pqdb.upkeep.worker import Upkeep


@dataclass(frozen=True)
class Opened:
    """A collection, and what is to be given back in the end."""

    collection: Collection
    stores: tuple[PointStore | BlockStore, ...]
    upkeep: Upkeep | None


class Handles:
    """What is open of a database's collections. Threads share it; who opens one, or gives one back, holds `lock`."""

    def __init__(self, path: Path, catalog: Catalog, opening: Opening) -> None:
        self._path = path
        self._catalog = catalog
        self._opening = opening
        self._closed = False
        self.lock = threading.RLock()
        self._swept = 0  # the commit of the names when it was last seen to that all that is open has one
        self._open: dict[str, Opened] = {}  # by uuid
        self._sound: dict[str, int] = {}  # by uuid: the commit of the names that it was last found in

    def guard(self) -> None:
        """Raise ClosedError where the database is closed."""
        if self._closed:
            raise ClosedError(f"the database {self._path} is closed")

    def get(self, name: str) -> Collection:
        """The collection of this name, or alias. Raises CollectionNotFoundError."""
        self.guard()
        names = self._catalog.names()
        self._sweep(names)
        own, key = self._found(name, names)
        held = self._open.get(key)  # without the lock: dropping another collection may hold it for a while
        if held is not None:
            return held.collection
        with self.lock:
            while key not in self._open:
                try:
                    self._open[key] = self._open_collection(own, key)
                except PqdbError:
                    last = key
                    own, key = self._found(name, self._catalog.names())
                    if key == last:
                        raise  # it was not dropped by another process while we were about to open it
            return self._open[key].collection

    def close(self) -> None:
        """Give all of them back, for good. Raises StorageError where another thread goes on reading for a minute."""
        self._closed = True
        for key in list(self._open):
            self._release(key)

    @property
    def any_open(self) -> bool:
        """Whether any is open still."""
        return bool(self._open)

    def remove_files(self, key: str) -> None:
        """Give back a collection that no name stands for any more, and delete its files."""
        try:
            self._release(key)
        finally:
            shutil.rmtree(self._path / key, ignore_errors=True)

    # -- how

    def _found(self, name: str, names: Names) -> tuple[str, str]:
        """The own name and the uuid of the collection of a name, or alias. Raises CollectionNotFoundError."""
        record = names.find(name)
        if record is None:
            raise CollectionNotFoundError(f"there is no collection {name!r} in {self._path}")
        return names.own(name), str(record["uuid"])

    def _sweep(self, names: Names) -> None:
        """Give back what is open of collections that other processes dropped, in a thread of its own where there is
        any: who asks for another one need not wait for those who still read it.
        """
        if names.txn_id == self._swept:
            return
        self._swept = names.txn_id
        if self._dropped(names):
            with suppress(RuntimeError):  # no thread is to be had: another time
                threading.Thread(target=self._release_dropped, name="pqdb-sweep", daemon=True).start()

    def _dropped(self, names: Names) -> list[str]:
        """The uuids of what is open and has no name."""
        there = names.keys
        return [key for key in list(self._open) if key not in there]

    def _open_collection(self, name: str, key: str) -> Opened:
        folder, size, read_only = self._path / key, self._opening.map_size, self._opening.read_only
        with ExitStack() as opened:
            points = opened.enter_context(PointStore.open(folder / "points", read_only, map_size=size, maker=maker))
            slots = indexed(points.geometry)
            blocks = [
                opened.enter_context(BlockStore.open(folder / index_folder(slot), read_only, map_size=size))
                for slot in slots
            ]
            manifest = points.manifest
            config = config_from_dict(manifest["config"])
            self._opening.check(config)
            upkeep = None if read_only else self._upkeep_of(folder, points, config.indexed, blocks)
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

    def _metadata_of(self, name: str, key: str, first: Metadata) -> Metadata:
        """A collection's metadata: what was set last, by any process, or what it was made with."""
        names = self._catalog.names()
        record = names.find(name)
        if record is None or record["uuid"] != key:  # renamed
            record = names.collections.get(names.name_of(key) or "", {})
        changed: Metadata = record.get("metadata", first)
        return changed

    def _guard_collection(self, name: str, key: str) -> None:
        """Raise if this collection is closed here, or was dropped by anyone. A fraction of a microsecond."""
        if self._catalog.still(self._sound.get(key)):  # looked up in these names before, and not closed since
            return
        self.guard()
        names = self._catalog.names()
        held = self._open.get(key)
        now = names.name_of(key)
        if now is None:
            if self.lock.acquire(blocking=False):  # who has it may wait for us: the next one to come releases it then
                try:
                    self._release(key)
                finally:
                    self.lock.release()
            again = "" if names.find(name) is None else "; another has its name now: get it again"
            raise ClosedError(f"collection {name!r} was dropped{again}")
        if held is not None:
            held.collection.name = now  # it may have been renamed, by anyone
            self._sound[key] = names.txn_id

    def _release_dropped(self) -> None:
        """Give back what is open and has no name, unless the database was closed before our turn came."""
        with self.lock:
            if self._closed:
                return
            for key in self._dropped(self._catalog.names()):
                with suppress(StorageError):  # somebody goes on reading it: another time
                    self._release(key)

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
