"""Reading an environment: a read transaction, and what the process keeps of its commit for the next one."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import lmdb

from pqdb.store.environment import Environment
from pqdb.store.faults import raise_ours
from pqdb.store.mapping import Txn


class Kept(Protocol):
    """What is kept of one commit, in one mapping of the file."""

    @property
    def txn_id(self) -> int: ...
    @property
    def epoch(self) -> int: ...


K = TypeVar("K", bound=Kept)


class Keeper(Generic[K]):
    """The newest thing kept of one environment, from which the next is made."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.newest: K | None = None

    def take(self, txn: Txn, txn_id: int, last: K | None) -> K:
        """What is to be kept of a transaction's commit, made from the last."""
        raise NotImplementedError

    def refresh(self, txn: Txn, txn_id: int, last: K | None) -> K:
        """Take, and keep it where it is the newest."""
        taken = self.take(txn, txn_id, last)
        if last is None or (taken.epoch, txn_id) >= (last.epoch, last.txn_id):
            self.newest = taken
        return taken


class View(Generic[K]):
    """A context manager: one snapshot. What it gave out stays valid only inside it."""

    __slots__ = ("_env", "_snapshot", "_snapshots", "_txn")

    _txn: Txn
    _snapshot: K

    def __init__(self, snapshots: Keeper[K]) -> None:
        self._snapshots = snapshots
        self._env = snapshots.env

    @classmethod
    def within(cls, snapshots: Keeper[K], txn: Txn, snapshot: K) -> Self:
        """A view in a transaction that somebody else holds, and ends."""
        view = cls(snapshots)
        view._txn, view._snapshot = txn, snapshot
        return view

    def __enter__(self) -> Self:
        env = self._env
        self._txn = txn = env.enter(self)
        try:
            snapshot = self._snapshots.newest
            if snapshot is None or snapshot.txn_id != txn.id() or snapshot.epoch != env.epoch:
                snapshot = self._refreshed()
            self._snapshot = snapshot
        except lmdb.Error as error:
            env.leave(self, self._txn)
            raise_ours(error, env.path)
        except BaseException:
            env.leave(self, self._txn)
            raise
        return self

    def _refreshed(self) -> K:
        """What is kept of the transaction's commit, where that is another than the newest known."""
        self._txn = txn = self._env.follow(self, self._txn)
        return self._snapshots.refresh(txn, txn.id(), self._snapshots.newest)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._env.leave(self, self._txn)
        if error is not None and isinstance(error, lmdb.Error):
            raise_ours(error, self._env.path)

    @property
    def txn_id(self) -> int:
        """The id of the commit."""
        return self._snapshot.txn_id

    @property
    def home(self) -> Path:
        """The folder that holds the data file."""
        return self._env.home

    def copy(self, path: str | os.PathLike[str]) -> None:
        """Copy this snapshot into an empty folder; see `Environment.copy`. Raises DiskFullError, StorageError."""
        self._env.copy(path, self._txn)


class Held:
    """A context manager: read transactions of two environments at once, for what was made of a commit of each and is
    to be used again. It costs less than two views. Enter them in the order in which views of both are: whoever waits at
    the gate of the second is in the first.
    """

    __slots__ = ("_first", "_first_txn", "_second", "second_txn")

    def __init__(self, first: Environment, second: Environment) -> None:
        self._first = first
        self._second = second

    def __enter__(self) -> Self:
        self._first_txn = self._first.enter(self)
        try:
            self.second_txn = self._second.enter(self)
        except BaseException:
            self._first.leave(self, self._first_txn)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._second.leave(self, self.second_txn)
        finally:
            self._first.leave(self, self._first_txn)
        if error is not None and isinstance(error, lmdb.Error):
            raise_ours(error, self._second.path)

    def are(self, one: Kept, other: Kept) -> bool:
        """Whether these are of the commits held, and addresses in them those of the files as they are mapped."""
        return (
            one.txn_id == self._first_txn.id()
            and other.txn_id == self.second_txn.id()
            and one.epoch == self._first.epoch
            and other.epoch == self._second.epoch
        )
