"""Extremes, and rounding to int8, over 16 lanes in LLVM IR that names no CPU.

numba does not vectorise a maximum: it keeps the order in which NaN would matter. 384 of them took 0.6 µs, these 0.03.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._cpu import JIT_OFF
from pqdb.kernels._ir import F32, I8, I32, I64, call, constant, load, loop, splat, store, vector
from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.lanes import LANES, LANES_AVAILABLE

_lanes = vector(F32, LANES)


def _larger(builder: Any, x: Any, y: Any, sign: str = ">") -> Any:
    return builder.select(builder.fcmp_ordered(sign, x, y), x, y)


def _folded(builder: Any, values: Any, sign: str = ">") -> Any:
    """The largest (or smallest) of 16 lanes."""
    for half in (8, 4, 2, 1):
        low, high = (constant(I32, list(range(start, start + half))) for start in (0, half))
        values = _larger(
            builder, builder.shuffle_vector(values, values, low), builder.shuffle_vector(values, values, high), sign
        )
    return builder.extract_element(values, I32(0))


def extremes_ir(builder: Any, args: list[Any]) -> Any:
    """The largest of `size` (a multiple of 16) floats; the smallest goes to `low_at`. args: floats, size, low_at."""
    floats, size, low_at = args
    first = load(builder, floats, _lanes)

    def step(index: Any, seen: list[Any]) -> list[Any]:
        x = load(builder, builder.add(floats, builder.shl(index, I64(6))), _lanes)
        return [_larger(builder, x, seen[0]), _larger(builder, x, seen[1], "<")]

    high, low = loop(builder, builder.lshr(size, I64(4)), [first, first], step)
    store(builder, _folded(builder, low, "<"), low_at)
    return _folded(builder, high)


def largest_ir(builder: Any, args: list[Any]) -> Any:
    """The largest absolute value of `size` (a multiple of 16) floats."""
    floats, size = args

    def step(index: Any, seen: list[Any]) -> list[Any]:
        x = load(builder, builder.add(floats, builder.shl(index, I64(6))), _lanes)
        return [_larger(builder, call(builder, "llvm.fabs.v16f32", _lanes, [x]), seen[0])]

    return _folded(builder, loop(builder, builder.lshr(size, I64(4)), [ir.Constant(_lanes, None)], step)[0])


def round_i8_ir(builder: Any, args: list[Any]) -> Any:
    """floor(x · factor + ½) of `size` (a multiple of 16) floats as int8. args: floats, size, factor, where they go."""
    floats, size, factor, out = args
    factors, half = splat(builder, factor, LANES), splat(builder, ir.Constant(F32, 0.5), LANES)

    def step(index: Any, nothing: list[Any]) -> list[Any]:
        x = load(builder, builder.add(floats, builder.shl(index, I64(6))), _lanes)
        scaled = builder.fadd(builder.fmul(x, factors), half)
        whole = builder.fptosi(call(builder, "llvm.floor.v16f32", _lanes, [scaled]), vector(I32, LANES))
        store(
            builder, builder.trunc(whole, vector(I8, LANES)), builder.add(out, builder.shl(index, I64(4)))
        )
        return nothing

    loop(builder, builder.lshr(size, I64(4)), [], step)
    return size


if JIT_OFF:

    def extremes(floats: Any, size: Any, low_at: Any) -> Any:
        """Never called: lanes.LANES_AVAILABLE is False."""
        raise NotImplementedError

    def largest(floats: Any, size: Any) -> Any:
        """Never called: lanes.LANES_AVAILABLE is False."""
        raise NotImplementedError

    def round_i8(floats: Any, size: Any, factor: Any, out: Any) -> Any:
        """Never called: lanes.LANES_AVAILABLE is False."""
        raise NotImplementedError

else:

    @intrinsic
    def extremes(typingctx: Any, floats: Any, size: Any, low_at: Any) -> Any:
        """See extremes_ir."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return extremes_ir(builder, list(args))

        return types.float32(types.uint64, types.int64, types.uint64), codegen

    @intrinsic
    def largest(typingctx: Any, floats: Any, size: Any) -> Any:
        """See largest_ir."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return largest_ir(builder, list(args))

        return types.float32(types.uint64, types.int64), codegen

    @intrinsic
    def round_i8(typingctx: Any, floats: Any, size: Any, factor: Any, out: Any) -> Any:
        """See round_i8_ir."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return round_i8_ir(builder, list(args))

        return types.int64(types.uint64, types.int64, types.float32, types.uint64), codegen


@kernel_inline
def extent(keys: Array, n: Whole, low: Array) -> Real:
    """The largest of keys[:n]; the smallest goes to low[0]."""
    whole = n // LANES * LANES if LANES_AVAILABLE else 0
    high = keys[0]
    low[0] = keys[0]
    if whole:
        high = extremes(np.uint64(keys.ctypes.data), whole, np.uint64(low.ctypes.data))
    for i in range(whole, n):
        high, low[0] = max(high, keys[i]), min(low[0], keys[i])
    return high
