"""The road in one kernel goes where the staged road goes: explain walks the stages, other searches the one kernel."""

import numpy as np
import pytest

import pqdb
from tests.search.conftest import Make


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("quantization", [pqdb.PQ(), pqdb.PQ(m=6, nbits=8)], ids=["4 bit", "8 bit"])
@pytest.mark.parametrize("effort", [{"recall": 0.8}, {"nprobe": 3}, {"nprobe": 5, "rerank": 40}], ids=str)
def test_one_kernel_finds_what_the_stages_find(make: Make, metric, quantization, effort):
    made = make(metric, quantization=quantization)
    for query in made.raw:
        fused = made.collection.search(query, 10, **effort)
        staged = made.collection.explain(query, 10, **effort).hits
        assert staged is not None
        assert fused.ids == staged.ids
        np.testing.assert_allclose(fused.scores, staged.scores, rtol=1e-6)
