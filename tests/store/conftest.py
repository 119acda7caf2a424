"""Stores to play with, each in a folder of the test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pqdb.store import BlockStore, PointStore
from tests.store.sources import ROW_BYTES, source_rows


@pytest.fixture
def rows() -> Callable[..., np.ndarray]:
    return source_rows


@pytest.fixture
def points(tmp_path: Path) -> Iterator[PointStore]:
    with PointStore.create(tmp_path / "points", {"name": "test"}, ROW_BYTES) as store:
        yield store


@pytest.fixture
def blocks(tmp_path: Path) -> Iterator[BlockStore]:
    with BlockStore.create(tmp_path / "index") as store:
        yield store
