"""Codebook: what a code means, and the only one who writes and reads its bytes.

Its bytes, little-endian: magic "PQCB", u16 version, u8 nbits, u8 1 with a rotation or 0 without, u32 dim,
u32 m, u32 d_out; then int32 bounds (m + 1), float32 rotation (d_out, dim) if there is one, float32
codewords (d_out, 2**nbits). Version 2 has a float32 weight behind them; version 1, still written without
a weight, does not.
"""

import struct
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pqdb.errors import CorruptError, FormatError, InputError
from pqdb.panels import inner_products

MAGIC = b"PQCB"
VERSION = 2
NBITS = (4, 8)
SUBSPACES_STEP = 4  # scans look up four sub-quantizers at a time, so m is a multiple of this
MAX_DIM = 65_536

_HEADER = struct.Struct("<4sHBBIII")


@dataclass(frozen=True, eq=False, slots=True)
class Codebook:
    """Codewords of m subspaces, over the dimensions of a residual as they are or rotated and cut.

    A residual r is coded as the nearest codewords of r / ‖r‖; the rescale factor stored beside the code
    restores the length. Arrays are copied and frozen at birth; raises InputError where they do not fit
    together.
    """

    dim: int
    nbits: int
    bounds: NDArray[np.int32]  # (m + 1,) subspace j owns dimensions bounds[j] … bounds[j + 1] − 1; empty ones pad m
    codewords: NDArray[np.float32]  # (d_out, ksub): column c of a subspace's rows is its codeword c
    rotation: NDArray[np.float32] | None = (
        None  # (d_out, dim) orthonormal rows; None: d_out = dim, dimensions as they are
    )
    weight: float = 0.0  # how much more than others an error along a row's vector counts where codes are chosen

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", _frozen(self.bounds, np.int32))
        object.__setattr__(self, "codewords", _frozen(self.codewords, np.float32))
        if self.rotation is not None:
            object.__setattr__(self, "rotation", _frozen(self.rotation, np.float32))
        _check_numbers(self.dim, self.nbits)
        _check_bounds(self.bounds)
        _check_codewords(self.codewords, self.d_out, self.ksub)
        _check_rotation(self.rotation, self.d_out, self.dim)
        if not 0 <= self.weight < np.inf:
            raise InputError(f"expected a weight of at least 0, not {self.weight}")

    @property
    def m(self) -> int:
        """Sub-quantizers, padding included."""
        return len(self.bounds) - 1

    @property
    def ksub(self) -> int:
        """Codewords of a subspace."""
        return 1 << self.nbits

    @property
    def d_out(self) -> int:
        """Dimensions coded: dim, or what a rotation kept."""
        return int(self.bounds[-1])

    @property
    def code_bytes(self) -> int:
        """Bytes of one packed code, without its factors."""
        return self.m * self.nbits // 8

    def rotate(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """vectors (n, dim) in the dimensions that are coded (n, d_out): rotated, or the very same array."""
        if self.rotation is None:
            return vectors
        return inner_products(vectors, self.rotation)

    def to_bytes(self) -> bytes:
        """The codebook as bytes; from_bytes gives an equal one back."""
        turned = self.rotation is not None
        version = VERSION if self.weight else 1
        parts = [_HEADER.pack(MAGIC, version, self.nbits, turned, self.dim, self.m, self.d_out)]
        parts.append(self.bounds.astype("<i4").tobytes())
        if self.rotation is not None:
            parts.append(self.rotation.astype("<f4").tobytes())
        parts.append(self.codewords.astype("<f4").tobytes())
        if self.weight:
            parts.append(np.float32(self.weight).astype("<f4").tobytes())
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Self:
        """The codebook in those bytes. Raises FormatError (newer version), CorruptError (anything else)."""
        data = bytes(data)
        if len(data) < _HEADER.size:
            raise CorruptError(f"a codebook has at least {_HEADER.size} bytes, not {len(data)}")
        magic, version, nbits, turned, dim, m, d_out = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise CorruptError(f"a codebook begins with {MAGIC!r}, not {magic!r}")
        if version > VERSION:
            raise FormatError(f"codebook of version {version}; this pqdb reads up to version {VERSION}")
        if nbits not in NBITS or turned not in (0, 1):
            raise CorruptError(f"a codebook has 4 or 8 bits and 0 or 1 rotations, not {nbits} and {turned}")
        size = _HEADER.size + 4 * (m + 1 + turned * d_out * dim + (d_out << nbits) + (version > 1))
        if len(data) != size:
            raise CorruptError(f"a codebook of m={m}, nbits={nbits}, dim={dim} has {size} bytes, not {len(data)}")
        offset = _HEADER.size + 4 * (m + 1)
        bounds = np.frombuffer(data, "<i4", m + 1, _HEADER.size)
        rotation = np.frombuffer(data, "<f4", d_out * dim, offset).reshape(d_out, dim) if turned else None
        numbers = np.frombuffer(data, "<f4", offset=offset + 4 * turned * d_out * dim)
        codewords, weight = numbers[: d_out << nbits].reshape(d_out, 1 << nbits), numbers[d_out << nbits :]
        try:
            return cls(dim, nbits, bounds, codewords, rotation, float(weight[0]) if len(weight) else 0.0)
        except InputError as problem:
            raise CorruptError(f"codebook bytes do not hold together: {problem}") from problem


def padded(m: int) -> int:
    """Sub-quantizers a codebook has when m are asked for."""
    return -(-m // SUBSPACES_STEP) * SUBSPACES_STEP


def _frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    copy = np.array(array, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy


def _check_numbers(dim: int, nbits: int) -> None:
    if nbits not in NBITS:
        raise InputError(f"expected codes of 4 or 8 bits, not {nbits}")
    if not 1 <= dim <= MAX_DIM:
        raise InputError(f"expected 1 to {MAX_DIM} dimensions, not {dim}")


def _check_bounds(bounds: NDArray[np.int32]) -> None:
    if bounds.ndim != 1 or len(bounds) < 1 + SUBSPACES_STEP or (len(bounds) - 1) % SUBSPACES_STEP:
        raise InputError(f"expected bounds of a multiple of {SUBSPACES_STEP} subspaces, not of shape {bounds.shape}")
    if bounds[0] != 0 or bounds[-1] < 1 or np.any(np.diff(bounds) < 0):
        raise InputError("expected bounds that rise from 0 to the dimensions coded")


def _check_codewords(codewords: NDArray[np.float32], d_out: int, ksub: int) -> None:
    if codewords.shape != (d_out, ksub):
        raise InputError(f"expected codewords of shape {(d_out, ksub)}, not {codewords.shape}")
    if not np.isfinite(codewords).all():
        raise InputError("expected finite codewords")


def _check_rotation(rotation: NDArray[np.float32] | None, d_out: int, dim: int) -> None:
    if rotation is None:
        if d_out != dim:
            raise InputError(f"expected {dim} coded dimensions without a rotation, not {d_out}")
        return
    if rotation.shape != (d_out, dim):
        raise InputError(f"expected a rotation of shape {(d_out, dim)}, not {rotation.shape}")
    if not np.isfinite(rotation).all():
        raise InputError("expected a finite rotation")
