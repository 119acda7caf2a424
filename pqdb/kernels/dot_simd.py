"""Dot products of int8 rows, in LLVM IR: AVX2 (widen and vpmaddwd) and AVX-512 (vpdpbusd). Exact in int32 both ways.

`dot` takes one row; `dots` a bank of 64 rows at once, which need no sum across lanes. A bank is 4 ranks of 16 rows; a
rank holds for each quad of dimensions 64 bytes: 4 of row 0, 4 of row 1 … 4 of row 15, each byte the int8 + 128.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._ir import I8, I16, I32, I64, call, constant, load, loop, splat, store, vector

RANKS = 4


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
    rank_bytes = builder.shl(quads, I64(6))

    def step(index: Any, sums: list[Any]) -> list[Any]:
        four = load(builder, builder.add(query, builder.shl(index, I64(2))), I32)
        y = builder.bitcast(splat(builder, four, 16), bytes_)
        at, totals = builder.add(bank, builder.shl(index, I64(6))), []
        for total in sums[RANKS:]:
            x = load(builder, at, bytes_)
            totals.append(call(builder, "llvm.x86.avx512.vpdpbusd.512", lanes, [total, x, y]))
            at = builder.add(at, rank_bytes)
        return totals + sums[:RANKS]  # the next step adds to the others: vpdpbusd takes five cycles

    sums = loop(builder, quads, [ir.Constant(lanes, None)] * (2 * RANKS), step)
    for rank in range(RANKS):
        store(builder, builder.add(sums[rank], sums[RANKS + rank]), builder.add(out, I64(64 * rank)))


def dots_u8_avx2_ir(builder: Any, args: list[Any]) -> None:
    """The same, rank after rank: 4 rows a register, each as two sums of two products."""
    bank, query, quads, out = args
    chunk, wide, lanes, half = vector(I8, 16), vector(I16, 16), vector(I32, 8), vector(I32, 4)

    def rank_step(rank: Any, nothing: list[Any]) -> list[Any]:
        start = builder.add(bank, builder.mul(rank, builder.shl(quads, I64(6))))

        def step(index: Any, sums: list[Any]) -> list[Any]:
            four = load(builder, builder.add(query, builder.shl(index, I64(2))), vector(I8, 4))
            words = builder.bitcast(builder.sext(four, vector(I16, 4)), I64)
            y = builder.bitcast(splat(builder, words, 4), wide)
            at, totals = builder.add(start, builder.shl(index, I64(6))), []
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


def _dot_intrinsic(name: str, emit: Callable[[Any, list[Any]], Any]) -> Any:
    def dot(typingctx: Any, row: Any, query: Any, size: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, list(args))

        return types.int32(types.uint64, types.uint64, types.uint64), codegen

    dot.__name__ = name
    return intrinsic(dot)


dot_i8_avx2 = _dot_intrinsic("dot_i8_avx2", dot_i8_avx2_ir)
dot_i8_avx512 = _dot_intrinsic("dot_i8_avx512", dot_i8_avx512_ir)


def _dots_intrinsic(name: str, emit: Callable[[Any, list[Any]], None]) -> Any:
    def dots(typingctx: Any, bank: Any, query: Any, quads: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit(builder, list(args))
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64, types.uint64, types.uint64), codegen

    dots.__name__ = name
    return intrinsic(dots)


dots_u8_avx2 = _dots_intrinsic("dots_u8_avx2", dots_u8_avx2_ir)
dots_u8_avx512 = _dots_intrinsic("dots_u8_avx512", dots_u8_avx512_ir)
