"""The parsers under fire for ten minutes: filters, vectors in JSON, and npy, npz and raw bodies. No crash, no 5xx.

`PQDB_FUZZ_SECONDS` is the time for all of them together.
"""

import io
import json
import os
from collections import Counter
from time import monotonic

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .conftest import DIM, UUID
from .test_hostile import places, replaced, values

SECONDS = float(os.environ.get("PQDB_FUZZ_SECONDS", "600"))
ANSWERS = {200, 400, 404, 409, 413, 422}
MOST_GROWN = 300 * 1024 * 1024  # bytes of memory the whole fire may cost
ROUND = settings(
    max_examples=100,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
JSON = "application/json"
POINTS = "/collections/docs/points"
NATIVE = "/pqdb/v1/collections/docs"

# -- filters

keys = st.sampled_from(
    ["lang", "at.line", "at", "list[]", "list[0].x", '"a.b"', "a..b", "[]", "", "a[", "ä"]
) | st.text(max_size=6)
bounds = st.none() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(["2024-01-01", "now", "x"])
ranges = st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte", "eq"]), bounds, max_size=4)
places_on_earth = st.fixed_dictionaries({"lat": st.floats(-100, 100), "lon": st.floats(-400, 400)}) | values
rings = st.fixed_dictionaries({"points": st.lists(places_on_earth, max_size=6)})
predicates = st.fixed_dictionaries(
    {},
    optional={
        "match": st.dictionaries(
            st.sampled_from(["value", "any", "except", "text", "text_any", "phrase", "prefix"]), values, max_size=2
        ),
        "range": ranges,
        "geo_radius": st.fixed_dictionaries({"center": places_on_earth, "radius": st.floats()}),
        "geo_bounding_box": st.fixed_dictionaries({"top_left": places_on_earth, "bottom_right": places_on_earth}),
        "geo_polygon": st.fixed_dictionaries({"exterior": rings}, optional={"interiors": st.lists(rings, max_size=2)}),
        "values_count": ranges,
        "is_empty": values,
        "is_null": values,
    },
)
conditions = st.deferred(
    lambda: (
        st.builds(lambda key, predicate: {"key": key, **predicate}, keys, predicates)
        | st.fixed_dictionaries({"has_id": st.lists(st.integers(0, 4) | st.just(UUID) | values, max_size=4)})
        | st.fixed_dictionaries({"has_vector": st.just("") | values})
        | st.fixed_dictionaries({"is_empty": st.fixed_dictionaries({"key": keys})})
        | st.fixed_dictionaries({"is_null": st.fixed_dictionaries({"key": keys})})
        | st.fixed_dictionaries({"nested": st.fixed_dictionaries({"key": keys, "filter": filters})})
        | filters
        | values
    )
)
clauses = conditions | st.lists(conditions, max_size=3)
filters = st.deferred(
    lambda: st.fixed_dictionaries(
        {},
        optional={
            "must": clauses,
            "should": clauses,
            "must_not": clauses,
            "min_should": st.fixed_dictionaries({"conditions": clauses, "min_count": st.integers(-1, 3) | values}),
        },
    )
)

# -- vectors as JSON, spelled as no encoder would

spellings = st.sampled_from(
    [
        "0",
        "-0",
        "1e-400",
        "1e38",
        "1e39",
        "1e400",
        "-1e999",
        "NaN",
        "Infinity",
        "1.",
        ".5",
        "01",
        "1e",
        "0x1",
        "+1",
        "null",
    ]
) | st.floats().map(str)
deep = st.integers(1, 3_000).map(lambda depth: "[" * depth + "1" + "]" * depth)
digits = st.integers(300, 5_000).map(lambda n: "9" * n)
numbers = st.integers(0, 9).map(str) | spellings | deep | digits
lists = st.lists(numbers, min_size=DIM - 1, max_size=DIM + 1).map(lambda parts: "[" + ",".join(parts) + "]")
named = st.lists(st.tuples(st.sampled_from(["", "a", "indices", "values"]), lists), max_size=3).map(
    lambda pairs: "{" + ",".join(f'"{name}":{spelled}' for name, spelled in pairs) + "}"
)
spelled_vectors = lists | named | st.just(UUID).map(json.dumps) | numbers

# -- arrays as bytes

dtypes = st.sampled_from(["<f4", ">f4", "<f8", "<f2", "<i8", "<u8", "|u1", "|b1", "<c8", "<U3", "|S4", "<M8[s]"])
shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple) | st.integers(0, 6).map(lambda n: (n, DIM))


@st.composite
def arrays(draw) -> np.ndarray:
    dtype, shape = np.dtype(draw(dtypes)), draw(shapes)
    size = int(np.prod(shape)) * dtype.itemsize
    content = draw(st.binary(min_size=size, max_size=size)) if draw(st.booleans()) else bytes(size)
    return np.frombuffer(content, dtype).reshape(shape)


def as_npy(array: np.ndarray, fortran: bool) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asfortranarray(array) if fortran else array)
    return out.getvalue()


def as_npz(named: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **named)
    return out.getvalue()


@st.composite
def damaged(draw, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes that are whole, cut, lengthened, or changed in some places."""
    body = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 3))):
        if body:
            body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.none() | st.integers(0, len(body)))
    return bytes(body[:cut]) + draw(st.just(b"") | st.binary(max_size=40))


good = st.integers(1, 3).map(lambda n: {"ids": np.arange(n, dtype=np.uint64), "vectors": np.ones((n, DIM), np.float32)})
json_bytes = values.map(lambda value: np.frombuffer(json.dumps(value).encode(), np.uint8))
npys = damaged(st.builds(as_npy, arrays() | good.map(lambda named: named["vectors"]), st.booleans()))
odd = st.dictionaries(st.sampled_from(["ids", "vectors", "payloads", "../x"]), arrays() | json_bytes, max_size=4)
npzs = damaged((good | odd | st.builds(lambda one, other: one | other, good, odd)).map(as_npz))
raws = st.binary(max_size=16 * DIM)
BINARY = {"application/x-npy": npys, "application/x-npz": npzs, "application/octet-stream": raws}

# -- the fire


def filter_body(draw) -> tuple[str, str, bytes, str]:
    path = draw(st.sampled_from([f"{POINTS}/scroll", f"{POINTS}/count", f"{POINTS}/query", f"{POINTS}/delete"]))
    filter_ = draw(filters)
    if (inside := places(filter_)) and draw(st.booleans()):
        filter_ = replaced(filter_, draw(st.sampled_from(inside)), draw(values))
    body = {"filter": {"must": [filter_, {"has_id": []}]} if path.endswith("delete") else filter_}
    if path.endswith("query"):
        body["query"] = [1.0] * DIM
    return "POST", path, json.dumps(body).encode(), JSON


def vector_body(draw) -> tuple[str, str, bytes, str]:
    vector = draw(spelled_vectors)
    method, path, body = draw(
        st.sampled_from(
            [
                ("PUT", POINTS, '{"points":[{"id":1,"vector":%s}]}'),
                ("PUT", POINTS, '{"batch":{"ids":[1,2],"vectors":[%s,%s]}}'),
                ("PUT", POINTS, '{"batch":{"ids":[1],"vectors":{"":[%s]}}}'),
                ("PUT", f"{POINTS}/vectors", '{"points":[{"id":1,"vector":%s}]}'),
                ("POST", f"{POINTS}/query", '{"query":%s}'),
                ("POST", f"{POINTS}/query", '{"query":{"nearest":%s},"query":%s}'),
                ("POST", f"{POINTS}/query", '{"query":{"recommend":{"positive":[%s],"negative":[%s]}}}'),
                ("POST", f"{POINTS}/search", '{"vector":%s,"limit":1}'),
                ("POST", f"{NATIVE}/recall", '{"queries":[%s]}'),
            ]
        )
    )
    return method, path, body.replace("%s", vector).encode("utf-8", "replace"), JSON


def binary_body(draw) -> tuple[str, str, bytes, str]:
    kind = draw(st.sampled_from(sorted(BINARY)))
    method, path = draw(
        st.sampled_from(
            [("PUT", f"{NATIVE}/points"), ("PUT", f"{NATIVE}/points?first_id=5"), ("POST", f"{NATIVE}/query?k=2")]
        )
    )
    return method, path, draw(BINARY[kind]), kind


def line_body(draw) -> tuple[str, str, bytes, str]:
    points = st.fixed_dictionaries({}, optional={"id": values, "vector": values, "payload": values}) | values
    lines = b"\n".join(json.dumps(point).encode() for point in draw(st.lists(points, max_size=4)))
    return "POST", f"{NATIVE}/import", draw(damaged(st.just(lines))), "application/x-ndjson"


FIRE = {"filters": filter_body, "vectors": vector_body, "arrays": binary_body, "lines": line_body}


def fire(hostile, make, seconds: float) -> Counter[int]:
    """Send what is made until the time is over: how often each status was answered."""
    answered: Counter[int] = Counter()
    end = monotonic() + seconds

    @ROUND
    @given(data=st.data())
    def send(data) -> None:
        status, answer = hostile.raw(*make(data.draw))
        answered[status] += 1
        assert status in ANSWERS, answer
        assert ("result" in answer) == (status == 200)

    while monotonic() < end:
        send()
    return answered


@pytest.mark.long
@pytest.mark.timeout(3 * SECONDS + 300)
def test_ten_minutes_of_fire(hostile, figure):
    process = psutil.Process()
    fire(hostile, filter_body, 1.0)
    before = process.memory_info().rss
    for what, make in FIRE.items():
        answered = fire(hostile, make, SECONDS / len(FIRE))
        assert answered[200], f"some of the {what} are good"
        figure(what, f"{sum(answered.values()):,} requests, {dict(sorted(answered.items()))}")
    grown = process.memory_info().rss - before
    figure("memory grown", f"{grown / 2**20:.0f} MiB")
    assert grown < MOST_GROWN
