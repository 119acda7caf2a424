"""The bench of sparse vectors: both engines are asked the same and find the same."""

from bench import sparse
from tests.compiled import compiled

pytestmark = compiled


def test_answers_are_compared() -> None:
    arguments = ["--rows", "600", "--nonzero", "20", "--asked", "5", "--queries", "20", "--rounds", "2"]
    found = sparse.measure(sparse._parser().parse_args(arguments))
    assert found["same answers"] > 0.99
    assert found["pqdb"]["p50 us"] > 0
    assert len(found["pqdb"]["p50 us of each round"]) == 2
