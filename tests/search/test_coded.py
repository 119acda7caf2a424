"""Rows into codes: factors that fit together once they are rounded."""

import numpy as np

from pqdb.partition.router import Router
from pqdb.quantization.encode import decode
from pqdb.quantization.pack import as_halves
from pqdb.quantization.train import train_codebook
from pqdb.search.coded import code_rows


def test_a_bias_belongs_to_the_scale_that_will_be_read() -> None:
    """Far from zero 2s⟨c, r̂⟩ is large: a scale that is rounded afterwards would leave it wrong by a two-thousandth."""
    rng = np.random.default_rng(1)
    centroids = (100 * rng.standard_normal((5, 16))).astype(np.float32)
    lists = rng.integers(0, 5, 400).astype(np.int32)
    residuals = rng.standard_normal((400, 16)).astype(np.float32)
    book = train_codebook(residuals, 8, metric="l2")
    router = Router(True, np.zeros(16, np.float32), 1.0, centroids)
    vectors = centroids[lists] + residuals
    coded = code_rows(router, book, vectors, np.arange(400), lists)
    assert coded.biases is not None
    assert (coded.scales == as_halves(coded.scales)).all()
    left = (vectors - centroids[lists]).astype(np.float64)
    guesses = coded.scales[:, None].astype(np.float64) * decode(book, coded.codes)
    wanted = -((left**2).sum(axis=1) + 2 * (centroids[lists].astype(np.float64) * guesses).sum(axis=1))
    np.testing.assert_allclose(coded.biases, wanted, rtol=1e-5, atol=1e-3)
