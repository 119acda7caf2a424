"""Dot products of int8 rows, in LLVM IR: AVX2 (widen and vpmaddwd) and AVX-512 (vpdpbusd). Exact in int32 both ways."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._ir import I8, I16, I32, I64, call, constant, load, loop, vector


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


def _dot_intrinsic(name: str, emit: Callable[[Any, list[Any]], Any]) -> Any:
    def dot(typingctx: Any, row: Any, query: Any, size: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, list(args))

        return types.int32(types.uint64, types.uint64, types.uint64), codegen

    dot.__name__ = name
    return intrinsic(dot)


dot_i8_avx2 = _dot_intrinsic("dot_i8_avx2", dot_i8_avx2_ir)
dot_i8_avx512 = _dot_intrinsic("dot_i8_avx512", dot_i8_avx512_ir)
