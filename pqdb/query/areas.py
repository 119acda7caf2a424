"""Places of an ordered table inside an area: a few ranges of keys that cover it, and then every place in them.

A key holds a place to some millimetres, so a place close to the border is neither in nor out: it is looked at.
"""

import math
from collections import deque
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.query.geo import EARTH_METRES, GeoBox, GeoPolygon, GeoRadius, Place
from pqdb.query.ordering import MOST, steps

Area = GeoRadius | GeoBox | GeoPolygon
Rectangle = tuple[float, float, float, float]  # south, north, west, east in degrees; west ≤ east
Degrees = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CELLS = 64  # ranges a rectangle is covered by, at most
LEVELS = 32
SLACK = 1e-6  # degrees: more than a step of the grid, and what rounding adds
SLACK_METRES = 0.25


def ranges_of(area: Area) -> list[tuple[int, int]]:
    """Ranges of keys (first, last) that hold every place of an area, in order, apart."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(each for rectangle in rectangles(area) for each in _cover(rectangle)):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def rectangles(area: Area) -> list[Rectangle]:
    """One or two rectangles around an area."""
    if isinstance(area, GeoBox):
        if area.west <= area.east:
            return [(area.south, area.north, area.west, area.east)]
        return [(area.south, area.north, area.west, 180.0), (area.south, area.north, -180.0, area.east)]
    if isinstance(area, GeoPolygon):
        lats, lons = [lat for lat, _ in area.exterior], [lon for _, lon in area.exterior]
        return [(min(lats), max(lats), min(lons), max(lons))]
    return _around(area)


def _around(circle: GeoRadius) -> list[Rectangle]:
    lat, lon = circle.center
    angle = circle.metres / EARTH_METRES
    south, north = lat - math.degrees(angle) - SLACK, lat + math.degrees(angle) + SLACK
    if south <= -90 or north >= 90:  # a pole is in it
        return [(max(south, -90.0), min(north, 90.0), -180.0, 180.0)]
    wide = math.degrees(math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(lat))))) + SLACK
    west, east = lon - wide, lon + wide
    if west < -180:
        return [(south, north, west + 360, 180.0), (south, north, -180.0, east)]
    if east > 180:
        return [(south, north, west, 180.0), (south, north, -180.0, east - 360)]
    return [(south, north, west, east)]


def _cover(rectangle: Rectangle) -> list[tuple[int, int]]:
    """Quarters of quarters of the map that cover a rectangle, the largest parted first, as ranges of keys."""
    south, north, west, east = rectangle
    low = (steps(south - SLACK, 180), steps(west - SLACK, 360))
    high = (steps(north + SLACK, 180), steps(east + SLACK, 360))
    done: list[tuple[int, int]] = []
    waiting = deque([(0, 0, 0, 0)])  # level, row, column, key: cells that reach out of the rectangle
    while waiting and len(done) + len(waiting) < CELLS:
        level, row, column, key = waiting.popleft()
        if level == LEVELS:
            done.append((key, key))
            continue
        for quarter in range(4):
            cell = (level + 1, 2 * row + (quarter >> 1), 2 * column + (quarter & 1), 4 * key + quarter)
            overlap = _overlap(cell, low, high)
            if overlap == 2:
                done.append(_range(cell))
            elif overlap == 1:
                waiting.append(cell)
    return done + [_range(cell) for cell in waiting]


Cell = tuple[int, int, int, int]


def _overlap(cell: Cell, low: tuple[int, int], high: tuple[int, int]) -> int:
    """0: apart, 1: in part, 2: all of the cell is in the rectangle."""
    level, *place, _ = cell
    size = 1 << LEVELS - level
    first, last = [at * size for at in place], [(at + 1) * size - 1 for at in place]
    if any(a > h or z < lo for a, z, lo, h in zip(first, last, low, high, strict=True)):
        return 0
    return 2 if all(a >= lo and z <= h for a, z, lo, h in zip(first, last, low, high, strict=True)) else 1


def _range(cell: Cell) -> tuple[int, int]:
    level, _, _, key = cell
    shift = 2 * (LEVELS - level)
    return key << shift, min(MOST, ((key + 1) << shift) - 1)


def inside(area: Area, lats: Degrees, lons: Degrees) -> tuple[Flags, Flags]:
    """(n,) which places surely lie in an area, and (n,) which lie so near to its border that they may."""
    if isinstance(area, GeoRadius):
        metres = _metres(area.center, lats, lons)
        near = np.abs(metres - area.metres) <= SLACK_METRES
        return (metres < area.metres) & ~near, near
    if isinstance(area, GeoBox):
        return _in_box(area, lats, lons)
    within, near = _in_ring(area.exterior, lats, lons)
    for hole in area.interiors:
        in_hole, near_hole = _in_ring(hole, lats, lons)
        within, near = within & ~in_hole, near | near_hole
    return within & ~near, near


def _metres(center: Place, lats: Degrees, lons: Degrees) -> Degrees:
    lat, there = math.radians(center[0]), np.radians(lats)
    along = np.sin(np.radians(lons - center[1]) / 2) ** 2
    share = np.sin((there - lat) / 2) ** 2 + math.cos(lat) * np.cos(there) * along
    metres: Degrees = 2 * EARTH_METRES * np.arcsin(np.minimum(1.0, np.sqrt(share)))
    return metres


def _in_box(box: GeoBox, lats: Degrees, lons: Degrees) -> tuple[Flags, Flags]:
    def within(slack: float) -> Any:
        rows = (lats > box.south + slack) & (lats < box.north - slack)
        if box.west > box.east:
            return rows & ((lons > box.west + slack) | (lons < box.east - slack))
        return rows & (lons > box.west + slack) & (lons < box.east - slack)

    surely = within(SLACK)
    return surely, within(-SLACK) & ~surely


def _in_ring(ring: tuple[Place, ...], lats: Degrees, lons: Degrees) -> tuple[Flags, Flags]:
    """As geo.side, for many places: (inside, close to an edge)."""
    within, near = np.zeros(len(lats), np.bool_), np.zeros(len(lats), np.bool_)
    for (y1, x1), (y2, x2) in pairwise(ring):
        dy, dx = y2 - y1, x2 - x1
        cross = dx * (lats - y1) - (lons - x1) * dy
        crosses = ((y1 > lats) != (y2 > lats)) & ((cross > 0) == (y2 > y1))
        within ^= crosses
        length = dx * dx + dy * dy
        along = np.clip(((lons - x1) * dx + (lats - y1) * dy) / length if length else lons * 0, 0, 1)
        near |= np.hypot(lons - (x1 + along * dx), lats - (y1 + along * dy)) <= SLACK
    return within, near
