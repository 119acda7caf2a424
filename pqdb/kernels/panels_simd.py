"""A tile of rows against a panel of others, in LLVM IR that names no CPU: sums of products stay in registers."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._cpu import JIT_OFF, KERNEL
from pqdb.kernels._ir import F32, I32, I64, call, load, loop, splat, store, vector

LANES = 16
# What a core's registers hold: 24 sums of 32 vector registers, 12 of 16 (two to a vector of 16 lanes).
TILE, VECTORS = (12, 2) if KERNEL == "avx512" else (6, 1)  # rows of a tile, vectors of a panel
WIDTH = LANES * VECTORS  # rows of a panel


def _products(builder: Any, rows: Any, size: Any, panel: Any) -> list[Any]:
    """Inner products of each row of a tile with each of a panel: TILE × VECTORS vectors, row by row.

    rows: address of TILE × size float32; size: i64, at least 1; panel: address of size × WIDTH float32.
    """
    lanes = vector(F32, LANES)

    def step(index: Any, sums: list[Any]) -> list[Any]:
        at = builder.add(panel, builder.mul(index, I64(4 * WIDTH)))
        columns = [load(builder, builder.add(at, I64(64 * v)), lanes) for v in range(VECTORS)]
        out = []
        for r in range(TILE):
            row = builder.add(rows, builder.shl(builder.add(builder.mul(size, I64(r)), index), I64(2)))
            x = splat(builder, load(builder, row, F32), LANES)
            mine = sums[r * VECTORS : (r + 1) * VECTORS]
            out += [
                call(builder, "llvm.fmuladd.v16f32", lanes, [x, column, total])
                for column, total in zip(columns, mine, strict=True)
            ]
        return out

    return loop(builder, size, [ir.Constant(lanes, None)] * (TILE * VECTORS), step)


def best_of_panel_ir(builder: Any, args: list[Any]) -> Any:
    """A lane that offers more than its best so far takes over.

    args: rows, size, panel as _products has them; half_norms (address of WIDTH float32 ‖c‖²/2); number (i32, of the
    panel); best (address of TILE × WIDTH float32) and panels (of TILE × WIDTH int32), in and out: the largest
    ⟨x, c⟩ − ‖c‖²/2 of each lane and the panel it comes from.
    """
    rows, size, panel, half_norms, number, best, panels = args
    here = splat(builder, number, LANES)
    for place, total in enumerate(_products(builder, rows, size, panel)):
        norms = load(builder, builder.add(half_norms, I64(64 * (place % VECTORS))), vector(F32, LANES))
        best_at, panels_at = (builder.add(base, I64(64 * place)) for base in (best, panels))
        score, before = builder.fsub(total, norms), load(builder, best_at, vector(F32, LANES))
        better = builder.fcmp_ordered(">", score, before)
        store(builder, builder.select(better, score, before), best_at)
        store(builder, builder.select(better, here, load(builder, panels_at, vector(I32, LANES))), panels_at)
    return I64(TILE)


def products_of_panel_ir(builder: Any, args: list[Any]) -> Any:
    """args: rows, size, panel as _products has them; where WIDTH products of the first row go, and by how many bytes
    those of the next lie behind (addresses).
    """
    rows, size, panel, out, stride = args
    for place, total in enumerate(_products(builder, rows, size, panel)):
        row = builder.add(out, builder.mul(stride, I64(place // VECTORS)))
        store(builder, total, builder.add(row, I64(64 * (place % VECTORS))))
    return I64(TILE)


if JIT_OFF:

    def best_of_panel(
        rows: Any, size: Any, panel: Any, half_norms: Any, number: Any, best: Any, panels: Any
    ) -> Any:  # fmt: skip
        """Never called: without the JIT there are plain kernels only."""
        raise NotImplementedError

    def products_of_panel(rows: Any, size: Any, panel: Any, out: Any, stride: Any) -> Any:
        """Never called: without the JIT there are plain kernels only."""
        raise NotImplementedError

else:

    @intrinsic
    def best_of_panel(
        typingctx: Any, rows: Any, size: Any, panel: Any, half_norms: Any, number: Any, best: Any, panels: Any
    ) -> Any:
        """See best_of_panel_ir."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return best_of_panel_ir(builder, list(args))

        address = types.uint64
        return types.int64(address, types.int64, address, address, types.int32, address, address), codegen

    @intrinsic
    def products_of_panel(typingctx: Any, rows: Any, size: Any, panel: Any, out: Any, stride: Any) -> Any:
        """See products_of_panel_ir."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return products_of_panel_ir(builder, list(args))

        address = types.uint64
        return types.int64(address, types.int64, address, address, address), codegen
