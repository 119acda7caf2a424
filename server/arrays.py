"""Vectors as bytes: plain float32, NumPy's `.npy` and `.npz`; read without a copy, and never unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import Refusal, format_error, wrong_input

RAW = "application/octet-stream"  # float32, little-endian, row after row
NPY = "application/x-npy"
NPZ = "application/x-npz"

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

_NUMBERS = "fiu"
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(data: bytes, place: str = "body") -> Array:
    """The array of an `.npy` file of numbers or strings. Raises Refusal 400 for anything else."""
    stream = io.BytesIO(data)
    try:
        read_header = _READERS[np.lib.format.read_magic(stream)]
        shape, fortran, dtype = read_header(stream)
    except KeyError:
        raise _unreadable(place, "this version of the npy format is not read") from None
    except Exception as error:  # noqa: BLE001 (the header is a Python literal: it can fail in any way)
        raise _unreadable(place, str(error).partition("\n")[0][:200]) from None
    if dtype.hasobject or dtype.kind not in f"{_NUMBERS}US" or dtype.itemsize == 0:
        raise _unreadable(place, f"the dtype {dtype} is neither of numbers nor of strings")
    start = stream.tell()
    expected = math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or expected != len(data) - start:
        raise _unreadable(place, f"shape {shape} of {dtype} needs {expected} bytes, there are {len(data) - start}")
    flat = np.frombuffer(data, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C")


def read_npz(data: bytes, names: tuple[str, ...], most: int) -> dict[str, Array]:
    """The arrays of an `.npz` file of at most `most` bytes when unpacked. Raises Refusal 400."""
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > most:
                raise Refusal(400, f"Payload error: the arrays unpack to more than {most} bytes")
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name not in names or name in arrays:
                    raise _unreadable("npz", f"`{name[:64]}` is not one of {', '.join(names)}, each once")
                arrays[name] = read_npy(archive.read(entry), name)
    except Refusal:
        raise
    except Exception as error:  # noqa: BLE001 (zipfile raises many kinds for a damaged file)
        raise _unreadable("npz", str(error)[:200]) from None
    return arrays


def read_vectors(data: bytes, kind: str, dim: int) -> Matrix:
    """Vectors of a body of type RAW or NPY.  → (n, dim) float32

    Raises Refusal 400 for another shape, NaN and infinity.
    """
    if kind == RAW:
        if not data or len(data) % (4 * dim):
            raise wrong_input(f"{len(data)} bytes are no float32 vectors of {dim} dimensions: {4 * dim} bytes each")
        return checked(np.frombuffer(data, "<f4").reshape(-1, dim), dim)
    return checked(read_npy(data), dim)


def checked(array: Array, dim: int) -> Matrix:
    """An array (n, dim) or (dim,) of finite numbers as float32 (n, dim). Raises Refusal 400."""
    if array.dtype.kind not in _NUMBERS:
        raise _unreadable("vectors", f"expected numbers, not {array.dtype}")
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != dim:
        raise wrong_input(f"Vector dimension error: expected dim: {dim}, got an array of shape {array.shape}")
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(matrix).all():
        at = int(np.argmin(np.isfinite(matrix).all(axis=1)))
        raise format_error(f"vector {at}: a number is NaN, infinite or beyond float32", "binary body")
    return matrix


def write_npz(**arrays: Array) -> bytes:
    """Arrays as the bytes of an `.npz` file."""
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _unreadable(place: str, why: str) -> Refusal:
    return format_error(f"{place}: {why}", "binary body")
