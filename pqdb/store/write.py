"""One write transaction of an environment, which starts over in a larger map when the map is full."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import lmdb

from pqdb.errors import StorageError
from pqdb.store.environment import Environment
from pqdb.store.faults import mapping_errors
from pqdb.store.mapping import Txn

T = TypeVar("T")


class OvertakenError(StorageError):
    """Another process wrote while the map grew, so what this batch has seen may not hold any more."""


class WriteBatch:
    """A context manager around one transaction: commits on a clean exit, forgets everything on an error.

    Nothing is committed where nothing changed.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._changed = False
        self.committed = False
        """Whether it is on disk."""

    def __enter__(self) -> Self:
        self._write = Write(self._env, self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or self._is_empty():
            self._write.abort()
            return
        try:
            self._write.run(self._finish)
        except BaseException:
            self._write.abort()
            raise
        try:
            self._write.commit()
        finally:
            self.committed = self._write.committed

    @property
    def _dbs(self) -> dict[str, Any]:
        return self._env.dbs  # (others after the environment was mapped anew)

    def _is_empty(self) -> bool:
        return not self._changed

    def _start(self, txn: Txn) -> int:
        """Take up the last commit; called again where the map had to grow. -> what tells that commit from others."""
        return int(txn.id())

    def _finish(self, txn: Txn) -> None:
        """Write what is written last, once."""

    def _run(self, operation: Callable[[Txn], T]) -> T:
        return self._write.run(operation)


class Write:
    """One write transaction that starts over in a larger map when the map is full.

    `start` is called with every new transaction, before the operations done so far are run again.
    """

    def __init__(self, env: Environment, start: Callable[[Txn], int]) -> None:
        self._env = env
        self._start = start
        self._done: list[Callable[[Txn], Any]] = []
        self._broken = False
        self.committed = False
        self._txn = env.begin_write()
        try:
            with mapping_errors(env.path, writing=True):
                self._base = start(self._txn)
        except BaseException:
            self.abort()
            raise

    def run(self, operation: Callable[[Txn], T]) -> T:
        """Run one operation inside the transaction. Once one failed, the batch cannot be committed."""
        self._refuse_broken()
        self._broken = True
        result = self._until_it_fits(lambda: operation(self._txn))
        self._done.append(operation)
        self._broken = False
        return result

    def commit(self) -> None:
        """Make it durable; nothing is kept where this raises."""
        try:
            self._refuse_broken()
            self._until_it_fits(self._commit)
            self._env.committed()
        finally:
            self.abort()

    def _commit(self) -> None:
        number = self._txn.id()  # (looked up when called: starting over begins another one)
        try:
            self._txn.commit()
        except lmdb.Error:
            raise
        except BaseException:  # an interrupt, before or behind the commit
            self.committed = self._env.last_commit() >= number
            raise
        self.committed = True

    def abort(self) -> None:
        """Forget everything; harmless after a commit."""
        self._done = []  # what was written hangs on these, and they on us: it would wait for the cycle collector
        try:
            self._env.abort(self._txn)
        finally:
            self._env.end_write()

    def _refuse_broken(self) -> None:
        if self._broken:
            raise StorageError(f"{self._env.path}: an operation of this batch failed; nothing of it was kept")

    def _until_it_fits(self, step: Callable[[], T]) -> T:
        with mapping_errors(self._env.path, writing=True):
            full = False
            while True:
                try:
                    if full:
                        self._start_over()
                    return step()
                except lmdb.MapFullError:
                    full = True

    def _start_over(self) -> None:
        """Run what was done so far again, in a larger map."""
        self._txn.abort()
        self._env.grow()
        self._txn = self._env.begin_write_again()
        base = self._start(self._txn)
        if base != self._base and self._done:
            raise OvertakenError(
                f"{self._env.path}: another process wrote while the memory map grew; nothing of this batch "
                "was kept, try it again"
            )
        self._base = base
        for operation in self._done:
            operation(self._txn)
