"""Numbers, times and places as unsigned 64-bit integers in the same order: the keys of ordered tables."""

import struct

import numpy as np
import numpy.typing as npt

LEAST, MOST = 0, (1 << 64) - 1
LEAST_INTEGER, MOST_INTEGER = -(1 << 63), (1 << 63) - 1
_SIGN = 1 << 63
_GRID = 1 << 32  # steps of a quarter of a turn … 4 mm of latitude, 9 mm of longitude at the equator

Keys = npt.NDArray[np.uint64]
Degrees = npt.NDArray[np.float64]


def of_integer(number: int) -> int:
    """Of a 64-bit integer."""
    return number + _SIGN


def to_integers(keys: Keys) -> npt.NDArray[np.int64]:
    """Keys back to integers."""
    return (keys ^ np.uint64(_SIGN)).view(np.int64)


def of_float(number: float) -> int:
    """Of a finite or infinite float; −0.0 is 0.0."""
    bits: int = struct.unpack("<Q", struct.pack("<d", number + 0.0))[0]
    return bits ^ MOST if bits & _SIGN else bits | _SIGN


def of_place(lat: float, lon: float) -> int:
    """Of a place in degrees: the bits of latitude and longitude in turn, so that near places often have near keys."""
    return _spread(steps(lat, 180)) << 1 | _spread(steps(lon, 360))


def steps(degrees: float, turn: int) -> int:
    """A latitude (turn 180) or longitude (360) in steps of the grid."""
    return min(_GRID - 1, max(0, int((degrees / turn + 0.5) * _GRID)))


def to_places(keys: Keys) -> tuple[Degrees, Degrees]:
    """Keys back to latitudes and longitudes, off by half a step at most."""
    return _degrees(keys >> np.uint64(1), 180), _degrees(keys, 360)


def _degrees(keys: Keys, turn: int) -> Degrees:
    return ((_gather(keys).astype(np.float64) + 0.5) / _GRID - 0.5) * turn


_STAGES = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)


_CLOSER = (0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0x00000000FFFFFFFF)


def _spread(number: int) -> int:
    """A zero between every two of 32 bits."""
    for shift, mask in _STAGES:
        number = (number | number << shift) & mask
    return number


def _gather(keys: Keys) -> Keys:
    """Every other bit of 64, from the lowest on."""
    keys = keys & np.uint64(_STAGES[-1][1])
    for shift, mask in zip((1, 2, 4, 8, 16), _CLOSER, strict=True):
        keys = (keys | keys >> np.uint64(shift)) & np.uint64(mask)
    return keys
