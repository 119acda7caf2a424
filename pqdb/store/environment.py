"""One LMDB environment, opened once a process: checked before mapping, shared by inode, poisoned by fork.

Readers pass a gate. Re-mapping (the map is full, or another process grew it) closes it, waits until the readers of this
process are out, re-maps and counts `epoch` up: addresses kept from before are then worthless.
"""

import errno
import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from pqdb.errors import CorruptError, LockedError, NotADatabaseError, PqdbError, ReadOnlyError, StorageError
from pqdb.store import datafile, lockfile, mapping, moved, pages
from pqdb.store.faults import mapping_errors, raise_ours, refusals, sentence
from pqdb.store.gate import Gate
from pqdb.store.mapping import Txn
from pqdb.store.registry import Inode, Registry, inode


class Environment:
    """A counted handle of one environment folder: made by `create` or `open`, given back by `close`."""

    def __init__(
        self, path: Path, names: Sequence[str], readonly: bool, map_bytes: int, optional: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.home = path  # where the data file is: elsewhere once it was compacted (moved.py)
        self.epoch = 0
        self.readonly = readonly
        self.dbs: dict[str, Any] = {}
        self._names = list(names)
        self._optional = list(optional)  # databases that may not be there yet
        self._adopting = threading.Lock()
        self._map_bytes = map_bytes
        self._references = 0
        self._key: Inode | None = None
        self.left_open: Inode | None = None  # its key, in a forked child that could not close it
        self.gate = Gate(path)
        self._inside = self.gate.inside  # the same, found sooner: every query looks twice
        self._writing = threading.RLock()
        self._writer: int | None = None
        self._env: lmdb.Environment = self._map()
        _registry.meet(self)

    # -- opening and closing ---------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        names: Sequence[str],
        records: Mapping[bytes, bytes],
        map_bytes: int | None = None,
        optional: Sequence[str] = (),
    ) -> "Environment":
        """A new environment: these named databases, and the records of the first.

        It is made aside and renamed, so nobody ever sees half of it, and of two processes one wins.
        Raises StorageError where the folder holds anything already.
        """
        folder = Path(path)
        aside = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
        try:
            datafile.make_folder(folder.parent)
            aside.mkdir()
            try:
                with mapping_errors(folder, writing=True):
                    mapping.write_first(aside, names, records)
                datafile.sync_folder(aside)
                aside.rename(folder)  # onto nothing, or an empty folder
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            datafile.sync_folder(folder.parent)
        except PqdbError:
            raise
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise StorageError(errno.EEXIST, f"{folder} holds something already") from None
            raise sentence(error.errno, error.strerror, folder, writing=True) from error
        return cls.open(folder, names, readonly=False, map_bytes=map_bytes, optional=optional)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        names: Sequence[str],
        readonly: bool = False,
        map_bytes: int | None = None,
        optional: Sequence[str] = (),
    ) -> "Environment":
        """The process's one handle of this folder, opened or shared. `optional` databases may not be there yet.

        Raises NotADatabaseError, CorruptError, ReadOnlyError (asked to write where it cannot), ForkedError (where this
        process was forked while its parent was inside), StorageError.
        """
        folder = Path(path)
        with _registry.lock:
            shared = _registry.find(folder)
            if shared is None:
                _registry.refuse_left_open(folder)
                shared = cls(folder, names, readonly, map_bytes or mapping.DEFAULT_BYTES, optional)
                shared._register()
            elif shared.readonly and not readonly:
                shared._become_writable()
            shared._references += 1
            return shared

    def close(self) -> None:
        """Give the handle back; the last one waits for readers of other threads and unmaps."""
        with _registry.lock:
            if self.gate.shut in ("closed", "forked"):
                return
            if self._references > 1:
                self._references -= 1
                return
            if self._writer == threading.get_ident():
                raise StorageError(f"{self.path} cannot be closed inside a batch of this thread")
            with self._alone("closed"):
                self._env.close()
                self.gate.shut = "closed"
            _registry.drop(self, self._key)

    def _map(self) -> lmdb.Environment:
        """Map the data file, wherever it has been moved to."""
        self.home = moved.home_of(self.path)
        while True:
            raw = None
            try:
                raw = self._map_home()
                self.home, last = self._marked(raw), self.home
            except PqdbError:
                if raw is not None:
                    raw.close()
                if moved.home_of(self.path) == self.home:
                    raise
                self.home = moved.home_of(self.path)  # moved while we were about to open it
                continue
            if self.home == last:
                return raw
            raw.close()

    def _marked(self, raw: lmdb.Environment) -> Path:
        """The home, or where its mark says that it has moved to."""
        with mapping_errors(self.path), mapping.begin_read(raw) as txn:
            value = txn.get(moved.KEY, db=self.dbs[self._names[0]])
            return self.home if value is None else self.path / str(moved.number_of(value, str(self.home)))

    def _map_home(self) -> lmdb.Environment:
        """Check the data file, then map it."""
        found = datafile.inspect(self.home)
        self._map_bytes = max(self._map_bytes, found.map_bytes)
        asked = self.home, self.path, self._map_bytes, found.expected_bytes, self.readonly
        try:
            raw, self._map_bytes = mapping.open_map(*asked, lock=True)
        except ReadOnlyError:
            if not self.readonly:
                raise
            # Nobody can register as a reader here, so nobody may be writing.
            raw, self._map_bytes = mapping.open_map(*asked, lock=False)
        try:
            with mapping_errors(self.path):
                self.dbs = mapping.open_dbs(raw, self._names, self._optional, self.readonly)
        except lmdb.NotFoundError:
            raw.close()
            raise NotADatabaseError(f"{self.path} is an LMDB environment, but not one of pqdb's") from None
        except BaseException:
            raw.close()
            raise
        return raw

    def _become_writable(self) -> None:
        """A handle opened to read is asked to write: map it anew."""
        with self._alone():
            self._env.close()
            self.readonly = False
            try:
                self._env = self._map()
            except BaseException:
                self.readonly = True
                self._env = self._map()
                raise
            finally:
                self.epoch += 1
                self._register()

    # -- moving to a fresh file ------------------------------------------------------------------------

    def compact(self) -> None:
        """Copy what is in use into a fresh file, smaller by what is free, and go on there (moved.py).

        Reads go on. Writers wait only for a second copy, where something was written during the first. Call it from
        one process at a time. Raises StorageError and kin; the old file is then as it was.
        """
        target = self.path / str(moved.fresh_number(self.path, self.home))
        try:
            seen = self._copy_afresh(target)
            txn = self.begin_write()
            try:
                if self._env.info()["last_txnid"] != seen:
                    self._copy_afresh(target)
                with mapping_errors(self.path, writing=True):
                    txn.put(moved.KEY, moved.mark(int(target.name)), db=self.dbs[self._names[0]])
                    txn.commit()
            finally:
                self.abort(txn)
                self.end_write()
        except BaseException:
            with self.read() as reading:
                there = reading.get(moved.KEY, db=self.dbs[self._names[0]]) is not None
            if not there:
                shutil.rmtree(target, ignore_errors=True)
            raise
        self._follow()
        moved.point(self.path, self.home)

    def _copy_afresh(self, target: Path) -> int:
        """A compacted copy, on disk. -> the transaction before which nothing is missing in it."""
        shutil.rmtree(target, ignore_errors=True)
        seen = int(self._env.info()["last_txnid"])
        with self.read() as txn:
            self.copy(target, txn)
        return seen

    def follow(self, reader: object, txn: Txn) -> Txn:
        """The transaction, or, if the environment has moved, one of `reader` at its new home.

        A thread that reads another snapshot of it already stays with the old file, which is whole.
        """
        while txn.get(moved.KEY, db=self.dbs[self._names[0]]) is not None:
            if self.gate.holds(threading.get_ident()) > 1:
                return txn
            self.leave(reader, txn)
            self._follow()
            txn = self.enter(reader)
        return txn

    def _follow(self) -> None:
        """Map the file that this environment has moved to."""
        with self._alone():
            try:
                if self._marked(self._env) == self.home:
                    return  # another thread was here first
                self._env.close()
                self._env = self._map()
            finally:
                self.epoch += 1
                self._register()

    def has_moved(self) -> bool:
        """Whether the file that is mapped is another one than the pointer names."""
        return self.home != moved.home_of(self.path)

    def _register(self) -> None:
        """Be found by the inode of the file that is mapped, and no other."""
        last, self._key = self._key, inode(self.home)
        _registry.put(self, self._key, last)

    # -- reading ---------------------------------------------------------------------------------------

    def enter(self, reader: object) -> Txn:
        """Begin a read transaction for `reader`, which must `leave` from the same thread."""
        self._inside[reader] = threading.get_ident()
        if self.gate.shut is not None:
            self.gate.wait(reader)
        try:
            return self._env.begin(buffers=True)
        except lmdb.Error as error:
            del self._inside[reader]
            return self._enter_again(reader, error)

    def leave(self, reader: object, txn: Txn) -> None:
        """End what `enter` began."""
        try:
            if self.gate.shut != "forked":  # as in `abort`; a call costs, and every query leaves twice
                txn.abort()
        finally:
            self._inside.pop(reader, None)

    def abort(self, txn: Txn) -> None:
        """Abort a transaction; in a forked child leave it be, for it is the parent's."""
        if self.gate.shut != "forked":
            txn.abort()

    @contextmanager
    def read(self) -> Iterator[Txn]:
        """A read transaction whose errors are ours. Views use `enter` and `leave`, which cost less."""
        reader = object()
        txn = self.enter(reader)
        try:
            with mapping_errors(self.path):
                yield txn
        finally:
            self.leave(reader, txn)

    def value(self, txn: Txn, name: str, key: bytes) -> memoryview:
        """What lies under a key of a database, where it must. Raises CorruptError."""
        value = txn.get(key, db=self.dbs[name])
        if value is None:
            raise CorruptError(f"{self.path}: {name} {key.hex()} is missing")
        return value

    def _enter_again(self, reader: object, error: lmdb.Error) -> Txn:
        """Cure what can be cured at the beginning of a read, and try once more."""
        if isinstance(error, lmdb.MapResizedError):
            self._adopt_map()
        elif isinstance(error, lmdb.ReadersFullError):
            self._env.reader_check()  # slots of processes that died
        elif isinstance(error, lmdb.PanicError):
            self._revive()
        else:
            raise_ours(error, self.path)
        self._inside[reader] = threading.get_ident()
        if self.gate.shut is not None:
            self.gate.wait(reader)
        try:
            return self._env.begin(buffers=True)
        except lmdb.ReadersFullError:
            self._inside.pop(reader, None)
            raise LockedError(f"all {lockfile.MAX_READERS:,} reader slots of {self.path} are taken") from None
        except lmdb.Error as second:
            self._inside.pop(reader, None)
            if isinstance(second, lmdb.MapResizedError):
                return self._enter_again(reader, second)  # it grew once more meanwhile
            raise_ours(second, self.path)

    # -- writing ---------------------------------------------------------------------------------------

    def begin_write(self) -> Txn:
        """A write transaction; waits for the writers of this and other processes. `end_write` must follow."""
        if self.readonly:
            raise ReadOnlyError(f"{self.path} is opened read-only")
        me = threading.get_ident()
        if self._writer == me:
            raise StorageError(f"{self.path}: this thread is writing a batch already")
        self.gate.refuse_if_shut()
        self._writing.acquire()
        try:
            self.gate.refuse_if_shut()
            self._writer = me
            return self.begin_write_again()
        except BaseException:
            self.end_write()
            raise

    def begin_write_again(self) -> Txn:
        """Another write transaction inside one `begin_write` … `end_write`."""
        txn = self._begin_write()
        while txn.get(moved.KEY, db=self.dbs[self._names[0]]) is not None:
            txn.abort()
            self._follow()
            txn = self._begin_write()
        return txn

    def _begin_write(self) -> Txn:
        def begin() -> Txn:
            return mapping.at_its_size(lambda: self._env.begin(write=True, buffers=True), self._adopt_map)

        with mapping_errors(self.path, writing=True):
            try:
                return begin()
            except lmdb.PanicError:
                self._revive()
                return begin()

    def end_write(self) -> None:
        """Let the next writer of this process in."""
        self._writer = None
        self._writing.release()

    def last_commit(self) -> int:
        """The number of the last transaction that was committed, by any process."""
        return int(self._env.info()["last_txnid"])

    def committed(self) -> None:
        """See to the file's size after a commit (datafile.extend_to)."""
        info = self._env.info()
        datafile.extend_to(self.home, (info["last_pgno"] + 1) * datafile_page(self._env))

    # -- optional databases ----------------------------------------------------------------------------

    def provide(self, names: Sequence[str]) -> None:
        """Make those of the optional databases that are not there yet, in a commit of their own."""
        self.adopt()
        if all(name in self.dbs for name in names):
            return
        txn = self.begin_write()
        try:
            with mapping_errors(self.path, writing=True):
                missing = [name for name in names if name not in self.dbs]
                made = {name: self._env.open_db(name.encode(), txn=txn) for name in missing}
                txn.commit()
            self.dbs = {**self.dbs, **made}
        finally:
            self.abort(txn)
            self.end_write()

    def adopt(self) -> None:
        """Take up optional databases that another process made. This thread may have no transaction open."""
        with self._adopting:
            missing = [name for name in self._optional if name not in self.dbs]
            if missing and self.readonly:
                with mapping_errors(self.path):
                    found = mapping.at_its_size(lambda: mapping.dbs_there(self._env, None, missing), self._adopt_map)
                self.dbs = {**self.dbs, **found}
            elif missing:
                self._adopt(missing)

    def _adopt(self, missing: Sequence[str]) -> None:
        txn = self.begin_write()
        try:
            with mapping_errors(self.path):
                found = mapping.dbs_there(self._env, txn, missing)
                txn.commit()
            self.dbs = {**self.dbs, **found}
        finally:
            self.abort(txn)
            self.end_write()

    # -- re-mapping ------------------------------------------------------------------------------------

    def grow(self) -> None:
        """Double the map; no transaction of this thread may be open."""
        self._remap(2 * self._env.info()["map_size"])

    def _adopt_map(self) -> None:
        """Take over the map size that another process wrote."""
        self._remap(0)

    def _revive(self) -> None:
        """Map the file anew after LMDB gave it up, as it does where it could not write a meta page: there may be room
        again, and all that was committed is whole.
        """
        with self._alone():
            self._env.close()
            try:
                self._env = self._map()
            finally:
                self.epoch += 1
                self._register()

    def _remap(self, size: int) -> None:
        with self._alone():
            try:
                self._env.set_mapsize(size)
            except (lmdb.Error, MemoryError, OverflowError) as error:
                self._env.close()
                self._env = self._map()
                raise StorageError(
                    errno.ENOMEM, f"{self.path}: the memory map cannot grow to {size:,} bytes ({error})"
                ) from error
            finally:
                self.epoch += 1

    @contextmanager
    def _alone(self, what: str = "mapped anew") -> Iterator[None]:
        """The gate closed and nobody of this process inside the map."""
        with self._writing, self.gate.emptied(what):
            yield

    # -- the rest --------------------------------------------------------------------------------------

    def copy(self, path: str | os.PathLike[str], txn: Txn) -> None:
        """Copy what a read transaction sees into an empty folder, without free pages, synchronised to disk.

        Others may write meanwhile; but of this process no other thread may, for LMDB lets an abort wait for a copy.
        """
        target = Path(path)
        with refusals(target):
            datafile.make_folder(target)
            if (target / datafile.NAME).exists():
                raise StorageError(errno.EEXIST, f"{target} holds a store already")
            with mapping_errors(target, writing=True):
                self._env.copy(str(target), compact=True, txn=txn)
            datafile.sync(target / datafile.NAME)
            datafile.sync_folder(target)

    def stats(self) -> dict[str, Any]:
        """Bytes of the file: of its free pages, of every named database, and of what LMDB itself needs (meta)."""
        with self.read() as txn:
            page = int(txn.stat(self.dbs[self._names[0]])["psize"])
            used = {name: _stat_bytes(txn.stat(db), page) for name, db in self.dbs.items()}
            main = _stat_bytes(self._env.stat(), page)
            end = (self._env.info()["last_pgno"] + 1) * page
        return {
            "file": (self.home / datafile.NAME).stat().st_size,
            "free": max(0, end - 2 * page - main - sum(used.values())),
            "meta": 2 * page + main,
            "databases": used,
        }

    def structural_problems(self) -> list[str]:
        """What a walk through the file finds wrong. Others may write meanwhile: no page of what is read is reused
        while our transaction lives.
        """
        self._catch_up()
        with self.read():
            return pages.problems(self.home)

    def _catch_up(self) -> None:
        """Map the file that the environment has moved to, where another process moved it since this one last read."""
        with self.read() as txn:
            has_moved = txn.get(moved.KEY, db=self.dbs[self._names[0]]) is not None
        if has_moved and not self.gate.holds(threading.get_ident()):
            self._follow()

    def poison(self) -> None:
        """In a forked child: refuse everything, and unmap so that the child can open the folder itself."""
        self.gate.shut = "forked"
        if not self.gate.inside and self._writer is None:
            self._env.close()
        else:  # a transaction of the parent's is alive, and closing would free its slot in the shared table
            self.left_open = self._key


def datafile_page(env: lmdb.Environment) -> int:
    """Bytes of a page of this environment."""
    return int(env.stat()["psize"])


def _stat_bytes(stat: Any, page: int) -> int:
    return int(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * page


_registry: Registry[Environment] = Registry()
user_of = _registry.user_of

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registry.poison)
