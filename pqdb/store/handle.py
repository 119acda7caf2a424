"""A handle of one environment: opened once, given back once, refused after that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from pqdb.errors import ClosedError, ReadOnlyError
from pqdb.store import datafile, manifest
from pqdb.store.environment import Environment
from pqdb.store.resident import resident_bytes


class Handle:
    """What the stores have in common. Threads may share a handle; a forked child may not."""

    KIND: ClassVar[str]
    DATABASES: ClassVar[Sequence[str]]
    OPTIONAL: ClassVar[Sequence[str]] = ()  # databases that may not be there yet

    def __init__(self, env: Environment, readonly: bool = False) -> None:
        self.env = env
        self.readonly = readonly
        self.path: Path = env.path
        self._open = True

    @classmethod
    def _open_env(
        cls, path: str | os.PathLike[str], readonly: bool, map_size: int | None
    ) -> tuple[Environment, dict[str, Any], dict[str, Any]]:
        """The environment of an existing store of this kind, with the caller's manifest and the store's own part.

        Raises NotADatabaseError, FormatError, CorruptError, StorageError and kin.
        """
        env = Environment.open(path, cls.DATABASES, readonly, map_size, cls.OPTIONAL)
        try:
            with env.read() as txn:
                value = txn.get(b"manifest", db=env.dbs["main"])
                return env, *manifest.from_bytes(value, cls.KIND, str(path))
        except BaseException:
            env.close()
            raise

    def close(self) -> None:
        """Give the handle back. Closing twice is no error."""
        if self._open:
            self.env.close()
            self._open = False
            self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stats(self) -> dict[str, Any]:
        """Bytes: "file", "free" pages in it, "databases" name → bytes, "meta" for the rest."""
        return self.env.stats()

    @property
    def data_file(self) -> Path:
        """The file that is mapped."""
        return self.env.home / datafile.NAME

    @property
    def is_held_up(self) -> bool:
        """Whether readers wait just now, until the file is mapped anew."""
        return self.env.gate.shut == "for a while"

    def resident(self) -> int | None:
        """Bytes of the file that are mapped here and in memory; None where nobody knows."""
        return resident_bytes(self.data_file)

    def _forget(self) -> None:
        """Let go of what was kept of the file."""

    def _refuse_closed(self) -> None:
        if not self._open:
            raise ClosedError(f"{self.path} is closed")

    def _refuse_unwritable(self) -> None:
        self._refuse_closed()
        self.env.gate.refuse_if_shut()
        if self.readonly:
            raise ReadOnlyError(f"{self.path} is opened read-only")
