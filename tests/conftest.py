"""What every test may ask for: seeds, clustered vectors, a folder, a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pqdb
from tests.data import clustered

SEED = 20_251


FIGURES: list[tuple[str, str, object]] = []


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """figure(what, value): something a story measured, printed at the end of the run."""
    return lambda what, value: FIGURES.append((request.node.name, what, value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of the stories."""
    if FIGURES:
        terminalreporter.section("figures")
        for test, what, value in FIGURES:
            terminalreporter.write_line(f"{test}: {what}: {value}")


@pytest.fixture
def seed() -> int:
    """The one seed of the suite: a failure comes back when the test is run again."""
    return SEED


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def clusters(seed: int) -> Callable[..., np.ndarray]:
    """clusters(n, dim, …) -> (n, dim) float32; see tests/data.py."""

    def make(n: int, dim: int, *, seed: int = seed, **how: float) -> np.ndarray:
        return clustered(n, dim, seed=seed, **how)

    return make


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "database"


@pytest.fixture
def db(db_path: Path) -> Iterator[pqdb.Database]:
    """An empty database whose upkeep runs only when the test says so."""
    with pqdb.open(db_path, upkeep="manual") as database:
        yield database
