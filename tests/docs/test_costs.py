"""The formula in docs/guide.md of what a point costs, held to the files and to what `info` counts."""

from pathlib import Path
from typing import Any

import pytest

import pqdb
from tests.compiled import compiled
from tests.data import clustered
from tests.docs.pages import ROOT, blocks

ROWS = 6_000
CASES: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {  # dim, how it is made, what the formula is told
    "cosine": (64, {}, {}),
    "dot, float16": (100, {"metric": "dot", "source": "float16"}, {"source": 2}),
    "l2": (128, {"metric": "l2"}, {"l2": True}),
    "two bits, int8": (
        96,
        {"quantization": pqdb.PQ(bits_per_dim=2), "source": "int8"},
        {"bits_per_dim": 2, "source": 1},
    ),
    "no rerank tier": (64, {"rerank": "source"}, {"rerank": False}),
}

pytestmark = compiled


@pytest.fixture(scope="module")
def formula() -> dict[str, Any]:
    """The functions that the guide defines."""
    [block] = [block for block in blocks(ROOT / "docs" / "guide.md", "python") if "def disk_bytes" in block.code]
    names: dict[str, Any] = {}
    exec(block.code, names)
    return names


@pytest.mark.parametrize("name", CASES)
def test_a_point_costs_what_the_formula_says(name: str, formula: dict[str, Any], tmp_path: Path) -> None:
    dim, made, told = CASES[name]
    vectors = clustered(ROWS, dim, seed=4)
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        points = db.create_collection("points", dim, **made)
        points.upsert(list(range(ROWS)), vectors, [{"row": row} for row in range(ROWS)])
        points.optimize()
        unused = sum(store.stats()["free"] for store in (points._points, points._blocks))
        counted = points.info()["bytes"]
    size = sum(file.stat().st_size for file in tmp_path.rglob("data.mdb"))
    assert (size - unused) / ROWS == pytest.approx(formula["disk_bytes"](dim, payload=12, **told), rel=0.1)
    code = {key: value for key, value in told.items() if key in ("bits_per_dim", "l2")}
    assert counted["codes"] / ROWS == pytest.approx(formula["hot_bytes"](dim, **code), rel=0.05)
    # The codebook is 16 words of `dim` numbers, and a rotation of at most dim numbers a dimension where it pays; int8
    # centroids come in banks of 64.
    shared = ROWS * formula["shared_bytes"](dim) + 64 * dim
    assert 0.95 * shared < counted["shared"] < 1.05 * shared + 4 * dim * dim + 63 * dim
