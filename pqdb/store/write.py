"""One write transaction of an environment, which starts over in a larger map when the map is full."""

from collections.abc import Callable
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
        self._txn.commit()  # (looked up when called: starting over begins another one)

    def abort(self) -> None:
        """Forget everything; harmless after a commit."""
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
            raise StorageError(
                f"{self._env.path}: another process wrote while the memory map grew; nothing of this batch "
                "was kept, try it again"
            )
        self._base = base
        for operation in self._done:
            operation(self._txn)
