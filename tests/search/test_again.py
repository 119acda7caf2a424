"""A query like one before goes straight to the kernel that was compiled for it."""

import numpy as np
import pytest

from pqdb.kernels import road
from pqdb.kernels._cpu import JIT_OFF
from tests.search.conftest import Make


@pytest.mark.skipif(JIT_OFF, reason="nothing is compiled")
@pytest.mark.parametrize("kind", ["of bytes", "a column", "read-only", "unaligned", "the other byte order", "a list"])
def test_no_array_has_a_kernel_compiled_for_it(make: Make, kind: str) -> None:
    """A read-only array is another type to numba: such a query took seconds."""
    made = make("cosine")
    query = made.raw[0].copy()
    expected = made.collection.search(query, 5).ids
    compiled = len(road.search_block.signatures)  # type: ignore[attr-defined]
    unaligned = np.zeros(query.nbytes + 1, np.uint8)[1:].view(np.float32)
    unaligned[:] = query
    frozen = query.copy()
    frozen.flags.writeable = False
    asked = {
        "of bytes": np.frombuffer(query.tobytes(), np.float32),
        "a column": np.stack([query, query], axis=1)[:, 0],
        "read-only": frozen,
        "unaligned": unaligned,
        "the other byte order": query.astype(">f4"),
        "a list": query.tolist(),
    }[kind]
    for _ in range(2):
        assert made.collection.search(asked, 5).ids == expected
        assert [hits.ids for hits in made.collection.search(np.asarray([asked, asked]), 5)] == [expected] * 2
    assert len(road.search_block.signatures) == compiled  # type: ignore[attr-defined]
