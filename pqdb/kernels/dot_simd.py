"""Dot products of int8 rows, in LLVM IR: AVX2 (widen and vpmaddwd), AVX-512 (vpdpbusd), NEON with sdot, and NEON
without (widen and multiply). Exact in int32 every way.

`dot` takes one row; `dots` a bank of 64 rows at once, which need no sum across lanes. A bank holds for each quad of
dimensions 256 bytes: 4 of row 0, 4 of row 1 … 4 of row 63, each byte the int8 + 128. In a bank of nibbles, numbers from
0 to 15, they hold two quads, the first in the low halves.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._ir import I8, I16, I32, I64, call, constant, load, loop, splat, store, vector

RANKS = 4  # of 16 rows


def split(builder: Any, x: Any) -> list[Any]:
    """The low halves of bytes, and the high ones."""
    words = vector(I16, x.type.count // 2)
    high = builder.bitcast(builder.lshr(builder.bitcast(x, words), constant(I16, [4] * words.count)), x.type)
    low_half = constant(I8, [15] * x.type.count)
    return [builder.and_(x, low_half), builder.and_(high, low_half)]


def quads_of(builder: Any, query: Any, index: Any) -> list[Any]:
    """Four bytes of the query for each of a step's two quads, as i32."""
    at = builder.add(query, builder.shl(index, I64(3)))
    return [load(builder, builder.add(at, I64(offset)), I32) for offset in (0, 4)]


def dot_i8_avx2_ir(builder: Any, args: list[Any]) -> Any:
    """Σ row[i]·query[i] over `size` (a multiple of 64) int8, as i32: 32 products a step in two accumulators."""
    row, query, size = args
    chunk, wide, lanes = vector(I8, 16), vector(I16, 16), vector(I32, 8)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        out = []
        for part, total in enumerate(sums):
            at = builder.add(builder.shl(index, I64(6)), I64(16 * part))
            x, y = (builder.sext(load(builder, builder.add(base, at), chunk), wide) for base in (row, query))
            out.append(builder.add(total, call(builder, "llvm.x86.avx2.pmadd.wd", lanes, [x, y])))
        return out

    zero = ir.Constant(lanes, None)
    sums = loop(builder, builder.lshr(size, I64(6)), [zero] * 4, step)
    total = builder.add(builder.add(sums[0], sums[1]), builder.add(sums[2], sums[3]))
    return call(builder, "llvm.vector.reduce.add.v8i32", I32, [total])


def dot_i8_avx512_ir(builder: Any, args: list[Any]) -> Any:
    """The same by vpdpbusd, whose first factor is unsigned: (row + 128)·query, less 128·Σ query, both in one pass."""
    row, query, size = args
    chunk, lanes = vector(I8, 64), vector(I32, 16)
    flip = constant(I8, [128] * 64)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        at = builder.shl(index, I64(6))
        x = builder.xor(load(builder, builder.add(row, at), chunk), flip)
        y = load(builder, builder.add(query, at), chunk)
        name = "llvm.x86.avx512.vpdpbusd.512"
        return [call(builder, name, lanes, [sums[0], x, y]), call(builder, name, lanes, [sums[1], flip, y])]

    zero = ir.Constant(lanes, None)
    sums = loop(builder, builder.lshr(size, I64(6)), [zero, zero], step)
    return call(builder, "llvm.vector.reduce.add.v16i32", I32, [builder.sub(sums[0], sums[1])])


def dots_u8_avx512_ir(builder: Any, args: list[Any]) -> None:
    """Σ bank[row, i]·query[i] over 4·quads dimensions for each of 64 rows, as 64 int32 at `out`."""
    bank, query, quads, out = args
    bytes_, lanes = vector(I8, 64), vector(I32, 16)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        four = load(builder, builder.add(query, builder.shl(index, I64(2))), I32)
        y = builder.bitcast(splat(builder, four, 16), bytes_)
        at, totals = builder.add(bank, builder.shl(index, I64(8))), []
        for rank, total in enumerate(sums[RANKS:]):
            x = load(builder, builder.add(at, I64(64 * rank)), bytes_)
            totals.append(call(builder, "llvm.x86.avx512.vpdpbusd.512", lanes, [total, x, y]))
        return totals + sums[:RANKS]  # the next step adds to the others: vpdpbusd takes five cycles

    sums = loop(builder, quads, [ir.Constant(lanes, None)] * (2 * RANKS), step)
    for rank in range(RANKS):
        store(builder, builder.add(sums[rank], sums[RANKS + rank]), builder.add(out, I64(64 * rank)))


def dots_u4_avx512_ir(builder: Any, args: list[Any]) -> None:
    """Σ bank[row, i]·query[i] over 8·steps dimensions for each of 64 rows of nibbles, as 64 int32 at `out`."""
    bank, query, steps, out = args
    bytes_, lanes = vector(I8, 64), vector(I32, 16)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        ys = [builder.bitcast(splat(builder, four, 16), bytes_) for four in quads_of(builder, query, index)]
        at, totals = builder.add(bank, builder.shl(index, I64(8))), list(sums)
        for rank in range(RANKS):
            x = load(builder, builder.add(at, I64(64 * rank)), bytes_)
            for half, (part, y) in enumerate(zip(split(builder, x), ys, strict=True)):
                which = RANKS * half + rank
                totals[which] = call(builder, "llvm.x86.avx512.vpdpbusd.512", lanes, [totals[which], part, y])
        return totals

    sums = loop(builder, steps, [ir.Constant(lanes, None)] * (2 * RANKS), step)
    for rank in range(RANKS):
        store(builder, builder.add(sums[rank], sums[RANKS + rank]), builder.add(out, I64(64 * rank)))


def dots_u8_avx2_ir(builder: Any, args: list[Any]) -> None:
    """The same, rank after rank: 4 rows a register, each as two sums of two products."""
    bank, query, quads, out = args
    chunk, wide, lanes, half = vector(I8, 16), vector(I16, 16), vector(I32, 8), vector(I32, 4)

    def rank_step(rank: Any, nothing: list[Any]) -> list[Any]:
        start = builder.add(bank, builder.shl(rank, I64(6)))

        def step(index: Any, sums: list[Any]) -> list[Any]:
            four = load(builder, builder.add(query, builder.shl(index, I64(2))), vector(I8, 4))
            words = builder.bitcast(builder.sext(four, vector(I16, 4)), I64)
            y = builder.bitcast(splat(builder, words, 4), wide)
            at, totals = builder.add(start, builder.shl(index, I64(8))), []
            for part, total in enumerate(sums):
                x = builder.zext(load(builder, builder.add(at, I64(16 * part)), chunk), wide)
                totals.append(builder.add(total, call(builder, "llvm.x86.avx2.pmadd.wd", lanes, [x, y])))
            return totals

        to = builder.add(out, builder.shl(rank, I64(6)))
        for part, total in enumerate(loop(builder, quads, [ir.Constant(lanes, None)] * 4, step)):
            even, odd = (builder.shuffle_vector(total, total, constant(I32, [i, i + 2, i + 4, i + 6])) for i in (0, 1))
            assert even.type == half
            store(builder, builder.add(even, odd), builder.add(to, I64(16 * part)))
        return nothing

    loop(builder, I64(RANKS), [], rank_step)


def dots_u4_avx2_ir(builder: Any, args: list[Any]) -> None:
    """The same: two products of a nibble and an int8, and two such sums, fit 16 bits."""
    bank, query, steps, out = args
    bytes_, words, lanes = vector(I8, 32), vector(I16, 16), vector(I32, 8)
    ones = constant(I16, [1] * 16)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        ys = [builder.bitcast(splat(builder, four, 8), bytes_) for four in quads_of(builder, query, index)]
        at, totals = builder.add(bank, builder.shl(index, I64(8))), []
        for part, total in enumerate(sums):
            halves = split(builder, load(builder, builder.add(at, I64(32 * part)), bytes_))
            low, high = (
                call(builder, "llvm.x86.avx2.pmadd.ub.sw", words, [x, y]) for x, y in zip(halves, ys, strict=True)
            )
            both = call(builder, "llvm.x86.avx2.pmadd.wd", lanes, [builder.add(low, high), ones])
            totals.append(builder.add(total, both))
        return totals

    for part, total in enumerate(loop(builder, steps, [ir.Constant(lanes, None)] * (2 * RANKS), step)):
        store(builder, total, builder.add(out, I64(32 * part)))


def _sdot(builder: Any, total: Any, x: Any, y: Any) -> Any:
    return call(builder, "llvm.aarch64.neon.sdot.v4i32.v16i8", total.type, [total, x, y])


def dot_i8_neondot_ir(builder: Any, args: list[Any]) -> Any:
    """Σ row[i]·query[i] by sdot: 64 products a step in four accumulators."""
    row, query, size = args
    chunk, lanes = vector(I8, 16), vector(I32, 4)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        out = []
        for part, total in enumerate(sums):
            at = builder.add(builder.shl(index, I64(6)), I64(16 * part))
            x, y = (load(builder, builder.add(base, at), chunk) for base in (row, query))
            out.append(_sdot(builder, total, x, y))
        return out

    sums = loop(builder, builder.lshr(size, I64(6)), [ir.Constant(lanes, None)] * 4, step)
    total = builder.add(builder.add(sums[0], sums[1]), builder.add(sums[2], sums[3]))
    return call(builder, "llvm.vector.reduce.add.v4i32", I32, [total])


def dot_i8_neon_ir(builder: Any, args: list[Any]) -> Any:
    """The same where there is no sdot: a product of two int8 fits 16 bits, their sum does not."""
    row, query, size = args
    chunk, wide, lanes = vector(I8, 16), vector(I16, 16), vector(I32, 16)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        at = builder.shl(index, I64(4))
        x, y = (builder.sext(load(builder, builder.add(base, at), chunk), wide) for base in (row, query))
        return [builder.add(sums[0], builder.sext(builder.mul(x, y), lanes))]

    total = loop(builder, builder.lshr(size, I64(4)), [ir.Constant(lanes, None)], step)[0]
    return call(builder, "llvm.vector.reduce.add.v16i32", I32, [total])


def dots_u8_neondot_ir(builder: Any, args: list[Any]) -> None:
    """Products of a bank by sdot, whose factors are both signed: (bank − 128)·query, and 128·Σ query beside it."""

    def multiply(totals: list[Any], rows: list[Any], four: Any) -> list[Any]:
        y = builder.bitcast(splat(builder, four, 4), vector(I8, 16))
        flip = constant(I8, [128] * 16)
        added = [_sdot(builder, total, builder.xor(x, flip), y) for total, x in zip(totals[:4], rows, strict=True)]
        return [*added, _sdot(builder, totals[4], flip, y)]  # 128 is −128 to it

    def finished(totals: list[Any]) -> list[Any]:
        return [builder.sub(total, totals[4]) for total in totals[:4]]

    _ranks_of_16(builder, args, multiply, finished, [ir.Constant(vector(I32, 4), None)] * 5)


def dots_u4_neondot_ir(builder: Any, args: list[Any]) -> None:
    """Products of a bank of nibbles by sdot, to which they are no less signed."""

    def multiply(totals: list[Any], rows: list[Any], four: Any) -> list[Any]:
        y = builder.bitcast(splat(builder, four, 4), vector(I8, 16))
        return [_sdot(builder, total, x, y) for total, x in zip(totals, rows, strict=True)]

    _ranks_of_16(builder, args, multiply, list, [ir.Constant(vector(I32, 4), None)] * 4, nibbles=True)


def dots_u8_neon_ir(builder: Any, args: list[Any], nibbles: bool = False) -> None:
    """The same where there is no sdot: a product of uint8 and int8 fits 16 bits."""
    wide, lanes = vector(I16, 16), vector(I32, 16)

    def multiply(totals: list[Any], rows: list[Any], four: Any) -> list[Any]:
        y = builder.sext(builder.bitcast(splat(builder, four, 4), vector(I8, 16)), wide)
        products = [builder.sext(builder.mul(builder.zext(x, wide), y), lanes) for x in rows]
        return [builder.add(total, product) for total, product in zip(totals, products, strict=True)]

    def finished(totals: list[Any]) -> list[Any]:
        every_fourth = [constant(I32, list(range(start, 16, 4))) for start in range(4)]
        parts = [[builder.shuffle_vector(total, total, which) for which in every_fourth] for total in totals]
        return [builder.add(builder.add(a, b), builder.add(c, d)) for a, b, c, d in parts]

    _ranks_of_16(builder, args, multiply, finished, [ir.Constant(lanes, None)] * 4, nibbles)


def dots_u4_neon_ir(builder: Any, args: list[Any]) -> None:
    """The same of a bank of nibbles."""
    dots_u8_neon_ir(builder, args, nibbles=True)


def _ranks_of_16(
    builder: Any,
    args: list[Any],
    multiply: Callable[[list[Any], list[Any], Any], list[Any]],
    finished: Callable[[list[Any]], list[Any]],
    zeros: list[Any],
    nibbles: bool = False,
) -> None:
    """Rank after rank of a bank, in registers of 4 rows: a step multiplies 4 of them with four values of the query, or
    of nibbles with four and four.
    """
    bank, query, steps, out = args

    def rank_step(rank: Any, nothing: list[Any]) -> list[Any]:
        start = builder.add(bank, builder.shl(rank, I64(6)))

        def step(index: Any, totals: list[Any]) -> list[Any]:
            at = builder.add(start, builder.shl(index, I64(8)))
            rows = [load(builder, builder.add(at, I64(16 * part)), vector(I8, 16)) for part in range(4)]
            if not nibbles:
                return multiply(totals, rows, load(builder, builder.add(query, builder.shl(index, I64(2))), I32))
            halves = zip(*(split(builder, x) for x in rows), strict=True)
            for half, four in zip(halves, quads_of(builder, query, index), strict=True):
                totals = multiply(totals, list(half), four)
            return totals

        to = builder.add(out, builder.shl(rank, I64(6)))
        for part, total in enumerate(finished(loop(builder, steps, zeros, step))):
            store(builder, total, builder.add(to, I64(16 * part)))
        return nothing

    loop(builder, I64(RANKS), [], rank_step)


def _dot_intrinsic(name: str, emit: Callable[[Any, list[Any]], Any]) -> Any:
    def dot(typingctx: Any, row: Any, query: Any, size: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, list(args))

        return types.int32(types.uint64, types.uint64, types.uint64), codegen

    dot.__name__ = name
    return intrinsic(dot)


def _dots_intrinsic(name: str, emit: Callable[[Any, list[Any]], None]) -> Any:
    def dots(typingctx: Any, bank: Any, query: Any, steps: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit(builder, list(args))
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64, types.uint64, types.uint64), codegen

    dots.__name__ = name
    return intrinsic(dots)


# By family of kernels.
DOT_IR: dict[str, Callable[[Any, list[Any]], Any]] = {
    "avx512": dot_i8_avx512_ir,
    "avx2": dot_i8_avx2_ir,
    "neondot": dot_i8_neondot_ir,
    "neon": dot_i8_neon_ir,
}
DOTS_IR: dict[str, Callable[[Any, list[Any]], None]] = {
    "avx512": dots_u8_avx512_ir,
    "avx2": dots_u8_avx2_ir,
    "neondot": dots_u8_neondot_ir,
    "neon": dots_u8_neon_ir,
}
NIBBLE_DOTS_IR: dict[str, Callable[[Any, list[Any]], None]] = {
    "avx512": dots_u4_avx512_ir,
    "avx2": dots_u4_avx2_ir,
    "neondot": dots_u4_neondot_ir,
    "neon": dots_u4_neon_ir,
}
DOT = {family: _dot_intrinsic(f"dot_i8_{family}", emit) for family, emit in DOT_IR.items()}
DOTS = {family: _dots_intrinsic(f"dots_u8_{family}", emit) for family, emit in DOTS_IR.items()}
NIBBLE_DOTS = {family: _dots_intrinsic(f"dots_u4_{family}", emit) for family, emit in NIBBLE_DOTS_IR.items()}
