"""Payloads and filters made by hypothesis, small enough that most filters let some of them through."""

from typing import Any

from hypothesis import strategies as st

KEYS = ("a", "b", "c")
PATHS = ("a", "b", "c", "a.b", "a[]", "a[0]", "a[].b", "b.c", "b[].a", '"a"', "c[1]", "d")
WORDS = ("red", "Red", "blue", "deep blue", "blue-red sea", "", "2024-01-01", "2024-03-05T12:00:00Z", "ÉCOLE x²")
TIMES = ("2024-01-01", "2024-03-05T12:00:00Z", "2024-03-05T13:00:00+01:00", "2023-12-31T23:59:59.999999Z")
WHOLE = st.integers(-2, 4)
FRACTIONS = st.sampled_from([-1.5, 0.0, 1.0, 2.5, 3.0])
places = st.fixed_dictionaries(
    {"lat": st.sampled_from([0, 1.5, -3.0, 10]), "lon": st.sampled_from([0, 2.5, 179, -179.5])}
)
scalars = st.one_of(st.none(), st.booleans(), WHOLE, FRACTIONS, st.sampled_from(WORDS), places)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=2)),
    max_leaves=5,
)
payloads = st.one_of(st.none(), st.dictionaries(st.sampled_from(KEYS), values, max_size=3))
paths = st.sampled_from(PATHS)


def _ends(ends: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), ends, max_size=2)


def _field(**predicates: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"key": paths, **predicates})


RINGS = [
    [(-5, -5), (-5, 5), (5, 5), (5, -5), (-5, -5)],
    [(-5, -5), (11, 0), (-5, 5), (2, -9), (-5, -5)],
    [(0, 0), (0, 170), (12, 179.5), (12, 0), (0, 0)],
]
rings = st.sampled_from([{"points": [{"lat": lat, "lon": lon} for lat, lon in ring]} for ring in RINGS])
matches = st.one_of(
    st.fixed_dictionaries({"value": st.one_of(WHOLE, st.sampled_from(WORDS))}),
    st.fixed_dictionaries(
        {"any": st.one_of(st.lists(WHOLE, max_size=3), st.lists(st.sampled_from(WORDS), max_size=3))}
    ),
    st.fixed_dictionaries(
        {"except": st.one_of(st.lists(WHOLE, max_size=3), st.lists(st.sampled_from(WORDS), max_size=3))}
    ),
    st.fixed_dictionaries({"text": st.sampled_from(["red", "blue red", "BLUE", "x²", "", "école"])}),
    st.fixed_dictionaries({"text_any": st.sampled_from(["red sea", "deep", ""])}),
    st.fixed_dictionaries({"phrase": st.sampled_from(["deep blue", "blue red", "red blue", "sea"])}),
    st.fixed_dictionaries({"prefix": st.sampled_from(["", "b", "blue", "R", "2024-0"])}),
)
fields = st.one_of(
    _field(match=matches),
    _field(range=_ends(st.one_of(WHOLE, FRACTIONS))),
    _field(range=_ends(st.sampled_from(TIMES))).filter(lambda field: field["range"]),
    _field(values_count=_ends(st.integers(0, 3))),
    _field(is_empty=st.booleans()),
    _field(is_null=st.booleans()),
    _field(geo_radius=st.fixed_dictionaries({"center": places, "radius": st.sampled_from([10.0, 3e5, 2e6, 3e7])})),
    _field(geo_bounding_box=st.fixed_dictionaries({"top_left": places, "bottom_right": places})),
    _field(geo_polygon=st.fixed_dictionaries({"exterior": rings}, optional={"interiors": st.lists(rings, max_size=1)})),
)
keyed = st.fixed_dictionaries({"key": paths})
elementwise = st.one_of(fields, st.fixed_dictionaries({"is_empty": keyed}), st.fixed_dictionaries({"is_null": keyed}))


def filters_of(conditions: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Filters with up to two conditions a clause."""
    few = st.one_of(conditions, st.lists(conditions, max_size=2))
    # (None of no conditions: the engine then says one thing or another, depending on the other clauses.)
    several = st.lists(conditions, min_size=1, max_size=3)
    some = st.fixed_dictionaries({"conditions": several, "min_count": st.integers(1, 3)})
    clauses = {"must": few, "should": few, "must_not": few, "min_should": some}
    return st.fixed_dictionaries({}, optional=clauses)


nested = st.fixed_dictionaries({"nested": st.fixed_dictionaries({"key": paths, "filter": filters_of(elementwise)})})
conditions = st.one_of(
    elementwise,
    elementwise,
    nested,
    st.fixed_dictionaries({"has_id": st.lists(st.integers(0, 12), max_size=4)}),
    st.fixed_dictionaries({"has_vector": st.sampled_from(["", "other"])}),
)
filters = filters_of(st.one_of(conditions, conditions, filters_of(conditions)))
