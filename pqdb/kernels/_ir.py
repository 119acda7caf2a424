"""Words for writing LLVM IR: vectors, unaligned loads and stores, prefetch, calls, and a loop whose sums stay in
registers.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

I8, I16, I32, I64, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()


def vector(kind: Any, lanes: int) -> Any:
    return ir.VectorType(kind, lanes)


def constant(kind: Any, values: list[int]) -> Any:
    return ir.Constant(vector(kind, len(values)), values)


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    kind = vector(scalar.type, lanes)
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, I32(0))
    return builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), constant(I32, [0] * lanes))


def load(builder: Any, address: Any, kind: Any) -> Any:
    load = builder.load(builder.inttoptr(address, kind.as_pointer()))
    load.align = 1
    return load


def store(builder: Any, value: Any, address: Any) -> None:
    store = builder.store(value, builder.inttoptr(address, value.type.as_pointer()))
    store.align = 1


def prefetch(builder: Any, address: Any) -> None:
    """Ask for the cache line of an address, into L2 (prefetcht1: prefetcht0 measured no gain from DRAM)."""
    pointer = builder.inttoptr(address, I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
    builder.call(function, [pointer, I32(0), I32(2), I32(1)])


def call(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(function, args)


def loop(builder: Any, steps: Any, starts: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """for i in range(steps): carried = body(i, carried). The carried values stay in registers."""
    before = builder.block
    loop, after = builder.append_basic_block("step"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("<", I64(0), steps), loop, after)
    builder.position_at_end(loop)
    index = builder.phi(I64)
    index.add_incoming(I64(0), before)
    carried = []
    for start in starts:
        phi = builder.phi(start.type)
        phi.add_incoming(start, before)
        carried.append(phi)
    ends = body(index, list(carried))
    last, following = builder.block, builder.add(index, I64(1))
    index.add_incoming(following, last)
    for phi, end in zip(carried, ends, strict=True):
        phi.add_incoming(end, last)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
    builder.position_at_end(after)
    left = []
    for start, end in zip(starts, ends, strict=True):
        phi = builder.phi(end.type)
        phi.add_incoming(start, before)
        phi.add_incoming(end, last)
        left.append(phi)
    return left
