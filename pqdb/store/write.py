"""One write transaction of an environment, which starts over in a larger map when the map is full."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import lmdb

from pqdb.errors import StorageError
from pqdb.store.environment import Environment, Txn
from pqdb.store.faults import mapping_errors

T = TypeVar("T")


class Write:
    """One write transaction that starts over in a larger map when the map is full.

    `start` is called with every new transaction, before the operations done so far are run again.
    """

    def __init__(self, env: Environment, start: Callable[[Txn], int]) -> None:
        self._env = env
        self._start = start
        self._done: list[Callable[[Txn], Any]] = []
        self._broken = False
        self._txn = env.begin_write()
        try:
            with mapping_errors(env.path, writing=True):
                self._base = start(self._txn)
        except BaseException:
            self.abort()
            raise

    def run(self, operation: Callable[[Txn], T]) -> T:
        """Run one operation inside the transaction. Once one failed, the batch cannot be committed."""
        if self._broken:
            raise StorageError(f"{self._env.path}: an operation of this batch failed; nothing of it is kept")
        self._broken = True
        with mapping_errors(self._env.path, writing=True):
            try:
                result = operation(self._txn)
            except lmdb.MapFullError:
                self._start_over()
                result = operation(self._txn)
        self._done.append(operation)
        self._broken = False
        return result

    def commit(self) -> None:
        """Make it durable; nothing is kept where this raises."""
        if self._broken:
            self.abort()
            raise StorageError(f"{self._env.path}: an operation of this batch failed; nothing of it is kept")
        try:
            with mapping_errors(self._env.path, writing=True):
                try:
                    self._txn.commit()
                except lmdb.MapFullError:
                    self._start_over()
                    self._txn.commit()
                self._env.committed()
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget everything; harmless after a commit."""
        try:
            self._txn.abort()
        finally:
            self._env.end_write()

    def _start_over(self) -> None:
        self._txn.abort()
        self._env.grow()
        self._txn = self._env.begin_write_again()
        base = self._start(self._txn)
        if base != self._base and self._done:
            raise StorageError(
                f"{self._env.path}: another process wrote while the memory map grew; nothing of this batch "
                "was kept, try it again"
            )
        self._base = base
        for operation in self._done:
            operation(self._txn)


def write_first(env: Environment, records: Mapping[bytes, bytes]) -> None:
    """The first commit of a new store: the records of its database ``main``."""

    def put_all(txn: Txn) -> None:
        for key, value in records.items():
            txn.put(key, value, db=env.dbs["main"])

    write = Write(env, lmdb.Transaction.id)
    try:
        write.run(put_all)
    except BaseException:
        write.abort()
        raise
    write.commit()
