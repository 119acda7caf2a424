"""Printing: float32 digits, and payloads that only the standard library can print."""

import json

import numpy as np

from pqdb_server.envelope import dumps


def test_float32_is_printed_with_its_shortest_digits(rng):
    values = rng.normal(size=1000).astype(np.float32)
    printed = json.loads(dumps({"array": values, "scalars": list(values)}))
    assert printed["array"] == printed["scalars"] == [float(str(value)) for value in values]
    assert np.array_equal(np.array(printed["array"], np.float32), values)


def test_what_orjson_cannot_print_is_printed_all_the_same():
    deep: dict = {}
    for _ in range(400):
        deep = {"a": deep}
    value = {"huge": 2**70, "deep": deep, "vector": np.array([0.05], np.float32), "score": np.float32(0.1)}
    assert json.loads(dumps(value)) == {"huge": 2**70, "deep": deep, "vector": [0.05], "score": 0.1}
