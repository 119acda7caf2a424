"""Real data: the share of the true 10 nearest that estimates bring to the front, all lists scanned.

The files lie beside the project, in ../shared/data; without them these stories are skipped.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pqdb.metric import Metric
from pqdb.partition.assign import assign
from pqdb.partition.train import train_centroids
from pqdb.quantization.heldout import HeldOut
from pqdb.quantization.train import train_codebook
from tests.compiled import compiled

DATA = Path(__file__).parents[2].parent / "shared" / "data"
LISTS = 256
QUERIES = 300
ROWS = 30_000  # of a file: what a codebook is trained on shows as well in a part of it

pytestmark = compiled


@dataclass
class Real:
    """A file's rows, what its lists leave of them, and the check by its own questions."""

    metric: Metric
    vectors: np.ndarray
    residuals: np.ndarray
    check: HeldOut


def load(name: str, metric: Metric) -> Real:
    h5py = pytest.importorskip("h5py", reason="h5py comes with the extra `bench`")
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not in ../shared/data")
    with h5py.File(DATA / name) as file:
        vectors = file["train"][:ROWS].astype(np.float32)
        queries = file["test"][:QUERIES].astype(np.float32)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    else:
        mean = vectors.mean(axis=0)
        vectors, queries = vectors - mean, queries - mean
    centroids = train_centroids(vectors, LISTS)
    residuals = vectors - centroids[assign(vectors, centroids)]
    return Real(metric, vectors, residuals, HeldOut.build(queries, vectors, residuals, metric))


@pytest.fixture(scope="module")
def docs() -> Real:
    return load("docs-minilm-51k-384-angular.hdf5", "cosine")


@pytest.fixture(scope="module")
def sift() -> Real:
    return load("sift-119k-128-euclidean.hdf5", "l2")


@pytest.mark.parametrize(
    ("m", "layout", "found"),
    [
        (96, "plain", {10: 0.69, 20: 0.86, 50: 0.96}),
        (96, "rotated", {10: 0.72, 20: 0.90, 50: 0.975}),
        (48, "rotated", {20: 0.72, 100: 0.93}),
    ],
)
def test_docs(docs: Real, m: int, layout: str, found: dict[int, float]) -> None:
    """One bit a dimension and half of one; questions distributed unlike the rows."""
    codebook = train_codebook(docs.residuals, m, layout=layout)  # type: ignore[arg-type]
    shares = {front: docs.check.share_found(codebook, front) for front in found}
    assert all(shares[front] >= share for front, share in found.items()), shares


@pytest.mark.parametrize(
    ("m", "layout", "found"),
    [(64, "plain", {20: 0.91, 50: 0.98}), (64, "rotated", {20: 0.95, 50: 0.99})],
)
def test_sift(sift: Real, m: int, layout: str, found: dict[int, float]) -> None:
    codebook = train_codebook(sift.residuals, m, layout=layout)  # type: ignore[arg-type]
    shares = {front: sift.check.share_found(codebook, front) for front in found}
    assert all(shares[front] >= share for front, share in found.items()), shares


def test_eight_bits_find_more_than_four_in_as_many_bytes(docs: Real) -> None:
    four = docs.check.share_found(train_codebook(docs.residuals, 96, layout="plain"))
    assert docs.check.share_found(train_codebook(docs.residuals, 48, 8)) >= four + 0.005


def test_the_held_out_check_sees_what_the_files_own_questions_see(docs: Real) -> None:
    """They find 3 points more by the rotated codes, so rows held out must find at least one."""
    chosen = train_codebook(docs.residuals, 96, vectors=docs.vectors, metric=docs.metric, rotation_gain=0.01)
    assert chosen.rotation is not None
