"""The second oracle: the engine of `qdrant-edge-py`, asked in process with the same payloads and the same filters.

A test dependency only. Where it is not installed, tests that need it are skipped, visibly.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

try:
    import qdrant_edge as edge
except ImportError:  # no wheel for every platform
    edge = None

MATCHES = {
    "value": "MatchValue",
    "any": "MatchAny",
    "except": "MatchExcept",
    "text": "MatchText",
    "text_any": "MatchTextAny",
    "phrase": "MatchPhrase",
    "prefix": "MatchPrefix",
}
AS_WRITTEN = ("is_empty", "is_null")


class Engine:
    """A shard in a temporary folder, with points 0 … n − 1 of these payloads."""

    def __init__(self, payloads: Sequence[dict[str, Any] | None], indexes: dict[str, Any] | None = None) -> None:
        """indexes: key → a kind, or the engine's parameters of an index."""
        self._folder = tempfile.TemporaryDirectory()
        vectors = edge.EdgeVectorParams(size=1, distance=edge.Distance.Dot)
        self.shard = edge.EdgeShard.create(
            str(Path(self._folder.name) / "shard"), edge.EdgeConfig(vectors=vectors, wal_enabled=False)
        )
        for key, kind in (indexes or {}).items():
            schema = getattr(edge.PayloadSchemaType, kind.capitalize()) if isinstance(kind, str) else kind
            self.shard.update(edge.UpdateOperation.create_field_index(key, schema))
        points = [edge.Point(number, [1.0], payload) for number, payload in enumerate(payloads)]
        self.shard.update(edge.UpdateOperation.upsert_points(points))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shard.close()
        self._folder.cleanup()

    def matching(self, filter: dict[str, Any]) -> list[int]:
        """The ids of the points that pass, ascending."""
        request = edge.ScrollRequest(limit=10_000, filter=filter_of(filter), with_payload=False)
        return sorted(record.id for record in self.shard.scroll(request)[0])


def filter_of(filter: dict[str, Any]) -> Any:
    """A filter as the engine's object."""
    parts: dict[str, Any] = {}
    for name in ("must", "should", "must_not"):
        if name in filter:
            given = filter[name] if isinstance(filter[name], list) else [filter[name]]
            parts[name] = [condition_of(condition) for condition in given]
    if "min_should" in filter:
        some = filter["min_should"]
        parts["min_should"] = edge.MinShould([condition_of(each) for each in some["conditions"]], some["min_count"])
    return edge.Filter(**parts)


def condition_of(condition: dict[str, Any]) -> Any:
    """A condition as the engine's object."""
    if "key" in condition:
        return field_of(condition)
    if "is_empty" in condition:
        return edge.IsEmptyCondition(condition["is_empty"]["key"])
    if "is_null" in condition:
        return edge.IsNullCondition(condition["is_null"]["key"])
    if "has_id" in condition:
        return edge.HasIdCondition(set(condition["has_id"]))
    if "has_vector" in condition:
        return edge.HasVectorCondition(condition["has_vector"])
    if "nested" in condition:
        return edge.NestedCondition(condition["nested"]["key"], filter_of(condition["nested"]["filter"]))
    return filter_of(condition)


def field_of(condition: dict[str, Any]) -> Any:
    """A field condition with its one predicate."""
    parts: dict[str, Any] = {name: condition[name] for name in AS_WRITTEN if name in condition}
    if "match" in condition:
        [(name, value)] = condition["match"].items()
        parts["match"] = getattr(edge, MATCHES[name])(value)
    if "range" in condition:
        bounds = condition["range"]
        as_text = any(isinstance(bound, str) for bound in bounds.values())
        parts["range"] = (edge.RangeDateTime if as_text else edge.RangeFloat)(**bounds)
    if "values_count" in condition:
        parts["values_count"] = edge.ValuesCount(**condition["values_count"])
    if "geo_radius" in condition:
        circle = condition["geo_radius"]
        parts["geo_radius"] = edge.GeoRadius(place_of(circle["center"]), circle["radius"])
    if "geo_bounding_box" in condition:
        box = condition["geo_bounding_box"]
        parts["geo_bounding_box"] = edge.GeoBoundingBox(place_of(box["top_left"]), place_of(box["bottom_right"]))
    if "geo_polygon" in condition:
        rings = condition["geo_polygon"]
        holes = [ring_of(ring) for ring in rings.get("interiors", [])]
        parts["geo_polygon"] = edge.GeoPolygon(ring_of(rings["exterior"]), holes or None)
    return edge.FieldCondition(condition["key"], **parts)


def place_of(place: dict[str, float]) -> Any:
    """A point on earth."""
    return edge.GeoPoint(place["lon"], place["lat"])


def ring_of(ring: dict[str, Any]) -> list[Any]:
    """A ring of a polygon."""
    return [place_of(place) for place in ring["points"]]
