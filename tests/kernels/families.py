"""The SIMD kernels as functions a test can call, and as assembly a test can read.

Those for ARM run on an emulated processor where this machine is none (arm.py).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
import pytest
from llvmlite import ir

from pqdb.kernels import _cpu, dot_simd, scan_plain, scan_simd
from pqdb.kernels._ir import F32, I64
from tests.kernels import arm

FAMILIES = ("avx512", "avx2", "neondot", "neon", "plain")
FEATURES = {name: ",".join(f"+{word}" for word in sorted(needs)) for name, needs in _cpu.NEEDS.items()}
_compiled: dict[tuple[str, str], Any] = {}


def is_emulated(family: str) -> bool:
    """Whether a family of ARM has to run on an emulated processor here."""
    return family.startswith("neon") and family not in _cpu.available()


def need(family: str) -> None:
    """Skip, visibly, where neither this process nor an emulated processor can run a family."""
    if family not in _cpu.available() and not is_emulated(family):
        pytest.skip(f"{family} kernels need {', '.join(sorted(_cpu.NEEDS[family]))}: not on this machine")


def _scan_of(family: str) -> str:
    return family.removesuffix("dot")


def _processor(family: str, word: str, result: Any, kinds: list[Any], body: arm.Body) -> arm.Processor:
    """An emulated processor with one kernel, without arrays."""
    if (family, word) not in _compiled:
        _compiled[family, word] = arm.Processor(arm.compiled(result, kinds, body, FEATURES[family], as_object=True))
    processor: arm.Processor = _compiled[family, word]
    processor.free()
    return processor


def _once(family: str, word: str, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    need(family)
    if (family, word) not in _compiled:
        _compiled[family, word] = make()
    function: Callable[..., Any] = _compiled[family, word]
    return function


def group_sums(family: str, wide: bool = False) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(record bytes, table (m, 16) uint8) -> (32,) uint32 sums; wide: of more than 512 sub-quantizers too."""
    if is_emulated(family):
        sums_ir = (scan_simd.WIDE if wide else scan_simd.SUMS)[_scan_of(family)]

        def emulate(record: np.ndarray, table: np.ndarray) -> np.ndarray:
            body = partial(scan_simd.group_sums_ir, sums_ir)
            processor, out = _processor(family, f"sums-{wide}", I64, [I64] * 4, body), np.full(32, 77, np.uint32)
            at_out = processor.put(out)
            processor.run([processor.put(record), processor.put(table), len(table), at_out])
            return processor.get(at_out, out)

        return emulate

    def make() -> Callable[..., Any]:
        if family == "plain":
            return scan_plain.group_sums_plain
        sums_of = (scan_simd.GROUP_SUMS_WIDE if wide else scan_simd.GROUP_SUMS)[_scan_of(family)]

        @numba.njit
        def sums(record, table, m, out):  # type: ignore[no-untyped-def]
            return sums_of(record, table, m, out)

        return sums

    function = _once(family, f"sums-{wide}", make)

    def call(record: np.ndarray, table: np.ndarray) -> np.ndarray:
        out = np.full(32, 77, np.uint32)
        function(at(record), at(table), np.uint64(len(table)) if family != "plain" else len(table), at(out))
        return out

    return call


Scored = tuple[np.ndarray, np.ndarray, int]


def score_group(family: str, bias: bool) -> Callable[..., Scored]:
    """(record bytes with factors, table, A, a, b, g, floor, threshold) -> values (32,), upper bounds (32,), mask."""
    if is_emulated(family):

        def emulate(record: np.ndarray, table: np.ndarray, *numbers: float) -> Scored:
            body = lambda b, args: scan_simd.score_groups_ir(scan_simd.SUMS[_scan_of(family)], b, args, bias)  # noqa: E731
            kinds = [I64] * 3 + [F32] * 6 + [I64] * 3
            processor = _processor(family, f"score-{bias}", I64, kinds, body)
            out = np.empty(32, np.float32)
            values, bounds = processor.put(out), processor.put(out)
            at_record = processor.put(record)
            whole = [at_record, processor.put(table), len(table), values, bounds, at_record]
            mask = processor.run(whole, numbers)
            return processor.get(values, out), processor.get(bounds, out), mask

        return emulate

    def make() -> Callable[..., Any]:
        score = scan_simd.SCORES[_scan_of(family), bias]

        @numba.njit
        def scored(record, table, m, base, a, b, g, floor, threshold, values, bounds):  # type: ignore[no-untyped-def]
            return score(record, table, m, base, a, b, g, floor, threshold, values, bounds, record)

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


def score_pair(family: str, bias: bool) -> Callable[..., Scored]:
    """The same of two records (2, bytes), with values and upper bounds (64,)."""
    if is_emulated(family):

        def emulate(records: np.ndarray, table: np.ndarray, *numbers: float) -> Scored:
            body = lambda b, args: scan_simd.score_groups_ir(  # noqa: E731
                scan_simd.SUMS[_scan_of(family)], b, args, bias, groups=2
            )
            kinds = [I64] * 4 + [F32] * 6 + [I64] * 4
            processor = _processor(family, f"score-pair-{bias}", I64, kinds, body)
            out = np.empty(64, np.float32)
            values, bounds = processor.put(out), processor.put(out)
            both = [processor.put(record) for record in records]
            mask = processor.run([*both, processor.put(table), len(table), values, bounds, *both], numbers)
            return processor.get(values, out), processor.get(bounds, out), mask

        return emulate

    def make() -> Callable[..., Any]:
        score = scan_simd.SCORE_PAIRS[_scan_of(family), bias]

        @numba.njit
        def scored(first, second, table, m, base, a, b, g, floor, threshold, values, bounds):  # type: ignore[no-untyped-def]
            return score(first, second, table, m, base, a, b, g, floor, threshold, values, bounds, first, second)

        return scored

    def call(records: np.ndarray, table: np.ndarray, *numbers: float) -> Scored:
        values, bounds = np.empty(64, np.float32), np.empty(64, np.float32)
        reals = [np.float32(number) for number in numbers]
        first, second, m = at(records[0]), at(records[1]), np.uint64(len(table))
        mask = _once(family, f"score-pair-{bias}", make)(
            first, second, at(table), m, *reals, at(values), at(bounds)
        )
        return values, bounds, int(mask)

    return call


def dot_i8(family: str) -> Callable[[np.ndarray, np.ndarray], int]:
    """(int8 row, int8 query) -> their product."""
    if is_emulated(family):

        def emulate(row: np.ndarray, query: np.ndarray) -> int:
            processor = _processor(family, "dot", ir.IntType(32), [I64] * 3, dot_simd.DOT_IR[family])
            found = processor.run([processor.put(row), processor.put(query), len(row)])
            return int(np.uint32(found & 0xFFFFFFFF).astype(np.int32))

        return emulate

    def make() -> Callable[..., Any]:
        if family == "plain":
            return scan_plain.dot_i8_plain
        dot = dot_simd.DOT[family]

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
    """(bank (quads, 64, 4) uint8, query (4·quads,) int8) -> (64,) int32 products."""
    return _dots(family, "dots_u8", dot_simd.DOTS_IR, dot_simd.DOTS, scan_plain.dots_u8_plain)


def dots_u4(family: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(bank (steps, 64, 4) uint8 of nibbles, query (8·steps,) int8) -> (64,) int32 products."""
    return _dots(family, "dots_u4", dot_simd.NIBBLE_DOTS_IR, dot_simd.NIBBLE_DOTS, scan_plain.dots_u4_plain)


def _dots(
    family: str, word: str, emitters: dict[str, Any], intrinsics: dict[str, Any], plain: Callable[..., Any]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    if is_emulated(family):

        def emulate(bank: np.ndarray, query: np.ndarray) -> np.ndarray:
            processor = _processor(family, word, ir.VoidType(), [I64] * 4, emitters[family])
            out = np.full(64, 77, np.int32)
            at_out = processor.put(out)
            processor.run([processor.put(bank), processor.put(query), bank.shape[0], at_out])
            return processor.get(at_out, out)

        return emulate

    def make() -> Callable[..., Any]:
        if family == "plain":
            return plain
        dots = intrinsics[family]

        @numba.njit
        def products(bank, query, steps, out):  # type: ignore[no-untyped-def]
            dots(bank, query, steps, out)

        return products

    function = _once(family, word, make)

    def call(bank: np.ndarray, query: np.ndarray) -> np.ndarray:
        out, steps = np.full(64, 77, np.int32), bank.shape[0]
        function(at(bank), at(query), steps if family == "plain" else np.uint64(steps), at(out))
        return out

    return call


def at(array: np.ndarray) -> np.uint64:
    """The address of an array's first byte."""
    return np.uint64(array.ctypes.data)


def score_assembly(family: str, bias: bool, wide: bool = False) -> str:
    """Assembly of one group's scoring for a processor that has the family's instructions, whatever this
    machine is."""
    sums_of = (scan_simd.WIDE if wide else scan_simd.SUMS)[_scan_of(family)]
    kinds = [I64] * 3 + [F32] * 6 + [I64] * 3
    return _assembly(family, I64, kinds, lambda builder, args: scan_simd.score_groups_ir(sums_of, builder, args, bias))


def dot_assembly(family: str) -> str:
    """The same of the int8 product."""
    return _assembly(family, ir.IntType(32), [I64] * 3, dot_simd.DOT_IR[family])


def bank_assembly(family: str, nibbles: bool) -> str:
    """The same of the products with a bank of rows."""
    emitters = dot_simd.NIBBLE_DOTS_IR if nibbles else dot_simd.DOTS_IR
    return _assembly(family, ir.VoidType(), [I64] * 4, emitters[family])


def _assembly(family: str, result: Any, kinds: list[Any], body: arm.Body) -> str:
    target = arm.ARM if family.startswith("neon") else ("x86_64-unknown-linux-gnu", "x86-64")
    return str(arm.compiled(result, kinds, body, FEATURES[family], as_object=False, target=target))
