"""The SIMD kernels as functions a test can call, and as assembly a test can read."""

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from llvmlite import ir

from pqdb.kernels import _cpu, dot_simd, scan_plain, scan_simd
from pqdb.kernels._ir import F32, I64

FAMILIES = ("avx512", "avx2", "plain")
FEATURES = {name: ",".join(f"+{word}" for word in sorted(needs)) for name, needs in _cpu.NEEDS.items()}
_SUMS = {"avx512": scan_simd.group_sums_avx512, "avx2": scan_simd.group_sums_avx2}
_SCORES = {
    "avx512": (scan_simd.score_avx512, scan_simd.score_bias_avx512),
    "avx2": (scan_simd.score_avx2, scan_simd.score_bias_avx2),
}
_DOTS = {"avx512": dot_simd.dot_i8_avx512, "avx2": dot_simd.dot_i8_avx2}
_BANKS = {"avx512": dot_simd.dots_u8_avx512, "avx2": dot_simd.dots_u8_avx2}
_compiled: dict[tuple[str, str], Callable[..., Any]] = {}


def need(family: str) -> None:
    """Skip, visibly, where this process cannot run a family."""
    if family not in _cpu.available():
        pytest.skip(f"{family} kernels need {', '.join(sorted(_cpu.NEEDS[family]))}: not on this machine")


def _once(family: str, word: str, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    need(family)
    if (family, word) not in _compiled:
        _compiled[family, word] = make()
    return _compiled[family, word]


def group_sums(family: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(record bytes, table (m, 16) uint8) -> (32,) uint32 sums."""

    def make() -> Callable[..., Any]:
        if family == "plain":
            return scan_plain.group_sums_plain
        sums_of = _SUMS[family]

        @numba.njit
        def sums(record, table, m, out):  # type: ignore[no-untyped-def]
            return sums_of(record, table, m, out)

        return sums

    function = _once(family, "sums", make)

    def call(record: np.ndarray, table: np.ndarray) -> np.ndarray:
        out = np.full(32, 77, np.uint32)
        function(at(record), at(table), np.uint64(len(table)) if family != "plain" else len(table), at(out))
        return out

    return call


Scored = tuple[np.ndarray, np.ndarray, int]


def score_group(family: str, bias: bool) -> Callable[..., Scored]:
    """(record bytes with factors, table, A, a, b, g, threshold) -> values (32,), upper bounds (32,), mask."""

    def make() -> Callable[..., Any]:
        score = _SCORES[family][bias]

        @numba.njit
        def scored(record, table, m, base, a, b, g, threshold, values, bounds):  # type: ignore[no-untyped-def]
            return score(record, table, m, base, a, b, g, threshold, values, bounds)

        return scored

    def call(record: np.ndarray, table: np.ndarray, *numbers: float) -> Scored:
        values, bounds, sums = np.empty(32, np.float32), np.empty(32, np.float32), np.empty(32, np.uint32)
        reals = [np.float32(number) for number in numbers]
        m = len(table)
        if family == "plain":
            scan_plain.group_sums_plain(at(record), at(table), m, at(sums))
            factors = at(record) + np.uint64(16 * m)
            mask = scan_plain.score_sums_plain(factors, at(sums), bias, *reals, at(values), at(bounds))
        else:
            function = _once(family, f"score-{bias}", make)
            mask = function(at(record), at(table), np.uint64(m), *reals, at(values), at(bounds))
        return values, bounds, int(mask)

    need(family)
    return call


def dot_i8(family: str) -> Callable[[np.ndarray, np.ndarray], int]:
    """(int8 row, int8 query) -> their product."""

    def make() -> Callable[..., Any]:
        if family == "plain":
            return scan_plain.dot_i8_plain
        dot = _DOTS[family]

        @numba.njit
        def product(row, query, size):  # type: ignore[no-untyped-def]
            return dot(row, query, size)

        return product

    function = _once(family, "dot", make)

    def call(row: np.ndarray, query: np.ndarray) -> int:
        size = len(row) if family == "plain" else np.uint64(len(row))
        return int(function(at(row), at(query), size))

    return call


def dots_u8(family: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(bank (4, quads, 16, 4) uint8, query (4·quads,) int8) -> (64,) int32 products."""

    def make() -> Callable[..., Any]:
        if family == "plain":
            return scan_plain.dots_u8_plain
        dots = _BANKS[family]

        @numba.njit
        def products(bank, query, quads, out):  # type: ignore[no-untyped-def]
            dots(bank, query, quads, out)

        return products

    function = _once(family, "dots", make)

    def call(bank: np.ndarray, query: np.ndarray) -> np.ndarray:
        out, quads = np.full(64, 77, np.int32), bank.shape[1]
        function(at(bank), at(query), quads if family == "plain" else np.uint64(quads), at(out))
        return out

    return call


def at(array: np.ndarray) -> np.uint64:
    """The address of an array's first byte."""
    return np.uint64(array.ctypes.data)


def score_assembly(family: str, bias: bool) -> str:
    """Assembly of one group's scoring for an x86-64 that has the family's instructions, whatever this
    machine is."""
    sums_of = {"avx512": scan_simd.sums_avx512, "avx2": scan_simd.sums_avx2}[family]
    kinds = [I64] * 3 + [F32] * 5 + [I64] * 2
    return _assembly(family, I64, kinds, lambda builder, args: scan_simd.score_group_ir(sums_of, builder, args, bias))


def dot_assembly(family: str) -> str:
    """The same of the int8 product."""
    body = {"avx512": dot_simd.dot_i8_avx512_ir, "avx2": dot_simd.dot_i8_avx2_ir}[family]
    return _assembly(family, ir.IntType(32), [I64] * 3, body)


def bank_assembly(family: str) -> str:
    """The same of the products with a bank of rows."""
    body = {"avx512": dot_simd.dots_u8_avx512_ir, "avx2": dot_simd.dots_u8_avx2_ir}[family]
    return _assembly(family, ir.VoidType(), [I64] * 4, body)


def _assembly(family: str, result: Any, kinds: list[Any], body: Callable[[Any, list[Any]], Any]) -> str:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module(name="parity")
    module.triple = "x86_64-unknown-linux-gnu"
    function = ir.Function(module, ir.FunctionType(result, kinds), name="kernel")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    value = body(builder, list(function.args))
    builder.ret_void() if value is None else builder.ret(value)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    target = llvm.Target.from_triple(module.triple)
    machine = target.create_target_machine(cpu="x86-64", features=FEATURES[family], opt=2)
    return str(machine.emit_assembly(parsed))
