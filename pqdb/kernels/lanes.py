"""Sums over 16 lanes in LLVM IR that names no CPU: dot products and distances of float32 against float32, float16 or
int8.
"""

from collections.abc import Callable
from typing import Any, Literal

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._cpu import JIT_OFF, host_features
from pqdb.kernels._ir import F32, I8, I16, I32, I64, call, constant, load, loop, splat, store, vector
from pqdb.kernels.intrinsics import half_to_float

LANES = 16
SUMS = 4  # under way at a time
ELEMENTS = {0: F32, 1: I16, 2: I8}  # by the kind of a row
# Without one of these a half is widened by a library call.
LANES_AVAILABLE = not JIT_OFF and not host_features().isdisjoint({"f16c", "neon"})


def _elements(builder: Any, kind: int, row: Any, index: Any) -> Any:
    """16 elements of a row as <16 x float>, from element 16·index."""
    at = builder.add(row, builder.mul(index, I64(LANES * width_of(ELEMENTS[kind]))))
    raw = load(builder, at, vector(ELEMENTS[kind], LANES))
    if kind == 0:
        return raw
    return half_to_float(builder, raw) if kind == 1 else builder.sitofp(raw, vector(F32, LANES))


def width_of(kind: Any) -> int:
    """Bytes of an IR scalar."""
    return 4 if kind == F32 else int(kind.width) // 8


def _sum_ir(builder: Any, kind: int, args: list[Any], of: Literal["products", "squares", "sizes"]) -> Any:
    """Σ over `size` (a multiple of 16, at least 16) elements: of products, or of the squares or sizes of differences;
    args row, query, size, and for differences the row's scale.
    """
    row, query, size = args[:3]
    scale = None if of == "products" else splat(builder, args[3], LANES)
    lanes = vector(F32, LANES)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        x = _elements(builder, kind, row, index)
        y = _elements(builder, 0, query, index)
        if of != "products":
            x = y = builder.fsub(y, builder.fmul(x, scale))
        if of == "sizes":
            total = builder.fadd(call(builder, "llvm.fabs.v16f32", lanes, [x]), sums[0])
        else:
            total = call(builder, "llvm.fmuladd.v16f32", lanes, [x, y, sums[0]])
        return [*sums[1:], total]  # the next step adds to another: an addition takes four cycles

    sums = loop(builder, builder.lshr(size, I64(4)), [ir.Constant(lanes, None)] * SUMS, step)
    total = builder.fadd(builder.fadd(sums[0], sums[1]), builder.fadd(sums[2], sums[3]))
    for half in (8, 4, 2, 1):
        order = ir.Constant(vector(I32, half), list(range(half)))
        upper = ir.Constant(vector(I32, half), list(range(half, 2 * half)))
        total = builder.fadd(builder.shuffle_vector(total, total, order), builder.shuffle_vector(total, total, upper))
    return builder.extract_element(total, I32(0))


def nibble_row_ir(builder: Any, args: list[Any]) -> Any:
    """One sub-quantizer's row of a distance table: 16 inner products, less the least of them.

    args: query, codewords (addresses of float32; codewords 16 a dimension), first dimension, dimensions (i64, ≥ 1),
    beta (f32), where the 16 products go, where their span goes (addresses). Returns the least.
    """
    query, codewords, first, size, beta, row_at, span_at = args
    lanes = vector(F32, LANES)
    query = builder.add(query, builder.shl(first, I64(2)))
    codewords = builder.add(codewords, builder.shl(first, I64(6)))

    def step(index: Any, sums: list[Any]) -> list[Any]:
        x = builder.fmul(beta, load(builder, builder.add(query, builder.shl(index, I64(2))), F32))
        y = load(builder, builder.add(codewords, builder.shl(index, I64(6))), lanes)
        return [call(builder, "llvm.fmuladd.v16f32", lanes, [splat(builder, x, LANES), y, sums[0]])]

    products = loop(builder, size, [ir.Constant(lanes, None)], step)[0]
    low, high = _least_and_largest(builder, products)
    store(builder, builder.fsub(products, splat(builder, low, LANES)), row_at)
    store(builder, builder.fsub(high, low), span_at)
    return low


def _least_and_largest(builder: Any, values: Any) -> tuple[Any, Any]:
    """Of 16 lanes; none is NaN. From the second step on both are sought in one vector, the largest as the least of the
    negated.
    """
    low, high = (constant(I32, list(range(start, start + 8))) for start in (0, 8))
    x, y = builder.shuffle_vector(values, values, low), builder.shuffle_vector(values, values, high)
    least, largest = _lesser(builder, x, y), builder.fneg(_lesser(builder, y, x, ">"))
    both = builder.shuffle_vector(least, largest, constant(I32, list(range(16))))
    for apart in (4, 2, 1):
        both = _lesser(builder, both, builder.shuffle_vector(both, both, constant(I32, [i ^ apart for i in range(16)])))
    return builder.extract_element(both, I32(0)), builder.fneg(builder.extract_element(both, I32(8)))


def _lesser(builder: Any, x: Any, y: Any, sign: str = "<") -> Any:
    return builder.select(builder.fcmp_ordered(sign, x, y), x, y)


def nibble_round_ir(builder: Any, args: list[Any]) -> Any:
    """Round 16 floats times a factor to 16 bytes; args: row, factor (f32), where the bytes go."""
    row, factor, out = args
    lanes = vector(F32, LANES)
    half = splat(builder, ir.Constant(F32, 0.5), LANES)
    scaled = call(
        builder,
        "llvm.fmuladd.v16f32",
        lanes,
        [load(builder, row, lanes), splat(builder, factor, LANES), half],
    )
    store(builder, builder.trunc(builder.fptosi(scaled, vector(I32, LANES)), vector(I8, LANES)), out)
    return I64(LANES)


def _by_kind(builder: Any, kind: Any, emit: Callable[[int], Any]) -> Any:
    """Branch on the kind of row at run time, and join."""
    done = builder.append_basic_block("joined")
    cases = []
    for number in (0, 1, 2):
        here, following = builder.append_basic_block(f"kind{number}"), builder.append_basic_block("next")
        if number == 2:
            builder.branch(here)
        else:
            builder.cbranch(builder.icmp_signed("==", kind, ir.Constant(kind.type, number)), here, following)
        builder.position_at_end(here)
        value = emit(number)
        cases.append((value, builder.block))
        builder.branch(done)
        builder.position_at_end(following)
    builder.unreachable()
    builder.position_at_end(done)
    result = builder.phi(F32)
    for value, block in cases:
        result.add_incoming(value, block)
    return result


if JIT_OFF:

    def dot_lanes(kind: Any, row: Any, query: Any, size: Any) -> Any:
        """Never called: LANES_AVAILABLE is False."""
        raise NotImplementedError

    def distance_lanes(kind: Any, row: Any, query: Any, size: Any, scale: Any) -> Any:
        """Never called: LANES_AVAILABLE is False."""
        raise NotImplementedError

    def l1_lanes(kind: Any, row: Any, query: Any, size: Any, scale: Any) -> Any:
        """Never called: LANES_AVAILABLE is False."""
        raise NotImplementedError

    def nibble_row(query: Any, words: Any, first: Any, size: Any, beta: Any, row: Any, span: Any) -> Any:
        """Never called: LANES_AVAILABLE is False."""
        raise NotImplementedError

    def nibble_round(row: Any, factor: Any, out: Any) -> Any:
        """Never called: LANES_AVAILABLE is False."""
        raise NotImplementedError

else:

    @intrinsic
    def nibble_row(
        typingctx: Any, query: Any, words: Any, first: Any, size: Any, beta: Any, row: Any, span: Any
    ) -> Any:
        """See nibble_row_ir."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return nibble_row_ir(builder, list(args))

        address, count, real = types.uint64, types.int64, types.float32
        return real(address, address, count, count, real, address, address), codegen

    @intrinsic
    def nibble_round(typingctx: Any, row: Any, factor: Any, out: Any) -> Any:
        """See nibble_round_ir."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return nibble_round_ir(builder, list(args))

        return types.int64(types.uint64, types.float32, types.uint64), codegen

    def _sum_by_kind(builder: Any, args: Any, of: Literal["products", "squares", "sizes"]) -> Any:
        """args kind, then those of _sum_ir."""
        return _by_kind(builder, args[0], lambda kind: _sum_ir(builder, kind, list(args[1:]), of))

    _ROW = (types.int64, types.uint64, types.uint64, types.int64)  # kind, row, query, size: a multiple of 16

    @intrinsic
    def dot_lanes(typingctx: Any, kind: Any, row: Any, query: Any, size: Any) -> Any:
        """⟨query, row⟩."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _sum_by_kind(builder, args, "products")

        return types.float32(*_ROW), codegen

    @intrinsic
    def distance_lanes(typingctx: Any, kind: Any, row: Any, query: Any, size: Any, scale: Any) -> Any:
        """|query − scale · row|²."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _sum_by_kind(builder, args, "squares")

        return types.float32(*_ROW, types.float32), codegen

    @intrinsic
    def l1_lanes(typingctx: Any, kind: Any, row: Any, query: Any, size: Any, scale: Any) -> Any:
        """Σ |query − scale · row|."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _sum_by_kind(builder, args, "sizes")

        return types.float32(*_ROW, types.float32), codegen
