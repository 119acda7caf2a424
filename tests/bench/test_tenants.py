"""The bench of tenants: both ways are asked the same and find the same."""

from bench import tenants
from tests.compiled import compiled

pytestmark = compiled


def test_a_tenant_is_compared_with_its_own_collection() -> None:
    arguments = ["--rows", "2000", "--each", "100", "--dim", "8", "--asked", "3", "--queries", "30"]
    found = tenants.measure(tenants._parser().parse_args(arguments))
    assert list(found) == ["the same again", "another each time", "after a write"]
    assert all(numbers["tenant p50"] > 0 and numbers["ratio p50"] > 0 for numbers in found.values())
    assert len(list(tenants._table(found))) == 5
