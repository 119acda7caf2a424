"""How a database is opened, and the catalog of its folder, made where there is none."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pqdb.config import CollectionConfig, NamedConfig
from pqdb.errors import NotADatabaseError, StorageError
from pqdb.memory import Memory
from pqdb.store.catalog import Catalog
from pqdb.store.places import refuse_network

UPKEEP_SHARE = 0.5  # of a core
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

    def check(self, config: CollectionConfig | NamedConfig) -> None:
        """Raise InputError where the vectors of such a collection cannot be learned from within the limit on memory."""
        for each in config.indexed:
            self.memory.check(each.dim)


def catalog_of(path: Path, opening: Opening) -> Catalog:
    """The catalog of a database folder, made if it is not there. Raises NotADatabaseError for what is something else,
    StorageError and kin.
    """
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
            return Catalog.create(home, map_size=opening.map_size)
        except StorageError:
            if not home.is_dir():
                raise
            # another process was faster
    return Catalog.open(home, opening.read_only, map_size=opening.map_size)


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
