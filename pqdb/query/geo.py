"""Places on earth and the areas that hold them. Borders are outside."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

from pqdb.query.path import elements

EARTH_METRES = 6_371_008.8  # mean radius
Place = tuple[float, float]  # latitude, longitude in degrees


def place_of(value: Any) -> Place | None:
    """The place that an object with `lat` and `lon` names; None for anything else, and for what is not on earth."""
    if not isinstance(value, dict):
        return None
    lat, lon = value.get("lat"), value.get("lon")
    if not _is_number(lat) or not _is_number(lon):
        return None
    return (float(lat), float(lon)) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def _is_number(value: Any) -> TypeGuard[int | float]:
    return type(value) in (int, float)


def places(values: list[Any]) -> list[Place]:
    """The elements that are places."""
    return [place for place in map(place_of, elements(values)) if place is not None]


@dataclass(frozen=True, slots=True)
class GeoRadius:
    """Some element is nearer to a place than this many metres (great circle)."""

    center: Place
    metres: float

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(map(self.contains, places(values)))

    def contains(self, place: Place) -> bool:
        """Whether a place is in it."""
        return distance(self.center, place) < self.metres


@dataclass(frozen=True, slots=True)
class GeoBox:
    """Some element lies between two parallels and two meridians; west of east, the box crosses the date line."""

    north: float
    west: float
    south: float
    east: float

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(map(self.contains, places(values)))

    def contains(self, place: Place) -> bool:
        """Whether a place is in it."""
        lat, lon = place
        if not self.south < lat < self.north:
            return False
        if self.west > self.east:
            return lon > self.west or lon < self.east
        return self.west < lon < self.east


@dataclass(frozen=True, slots=True)
class GeoPolygon:
    """Some element lies inside a ring and outside of all holes. Rings are closed; edges are straight in degrees."""

    exterior: tuple[Place, ...]
    interiors: tuple[tuple[Place, ...], ...] = ()

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(map(self.contains, places(values)))

    def contains(self, place: Place) -> bool:
        """Whether a place is in it."""
        return side(self.exterior, place) > 0 and all(side(hole, place) < 0 for hole in self.interiors)


def distance(a: Place, b: Place) -> float:
    """Metres along the great circle (haversine)."""
    lat_a, lat_b = math.radians(a[0]), math.radians(b[0])
    across = math.sin((lat_b - lat_a) / 2) ** 2
    along = math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    return 2 * EARTH_METRES * math.asin(min(1.0, math.sqrt(across + math.cos(lat_a) * math.cos(lat_b) * along)))


def side(ring: tuple[Place, ...], place: Place) -> int:
    """1 inside of a closed ring, 0 on it, −1 outside: a ray to the east crosses an odd number of edges inside."""
    y, x = place
    inside = False
    for (y1, x1), (y2, x2) in pairwise(ring):
        cross = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
        if cross == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return 0
        if (y1 > y) != (y2 > y) and (cross > 0) == (y2 > y1):
            inside = not inside
    return 1 if inside else -1
