"""One group of 32 codes against one table, or two of them, in LLVM IR: AVX2, AVX-512 and NEON.

Layout of a group record (docs/format.md): for each pair of sub-quantizers 32 bytes, the first 16 for the even one; in
each byte the low nibble is the code of vector i, the high nibble that of vector 16 + i. Then 32 float16 scales, then,
for l2, 32 float16 biases. Table entries are 7 bits, so that two look-ups add without overflow in a byte and the sum
of 512 fits 16 bits (Quick ADC, André et al. 2017, is where the in-register look-up comes from). Longer codes are summed
512 at a time, and the sums of these in 32 bits.

With each line that is read, one of a record that is scanned some groups later is asked for: one at a time, since the
few buffers that wait for memory are those that every other load needs (docs/decisions/020).

A value is  A + B_v + s_v·(b + a·sum_v);  its upper bound adds  max(s_v, floor)·g.  Larger is nearer.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._ir import F32, I8, I16, I32, I64, call, constant, load, loop, prefetch, splat, store, vector
from pqdb.kernels.intrinsics import half_to_float

Sums = tuple[Any, Any]  # (vectors 0–15, vectors 16–31), each <16 x i32>
SumsOf = Callable[..., list[Sums]]  # of records, one after the other or two side by side
NARROW_SHIFT = 9
NARROW = 1 << NARROW_SHIFT  # nibbles whose sum fits 16 bits
DOWN = sum(1 << 8 * (7 - bit) + 4 + bit for bit in range(4))  # gf2p8affineqb's matrix: the high nibble, brought down


def sums_avx2(builder: Any, records: list[Any], table: Any, m: Any, aheads: list[Any]) -> list[Sums]:
    """Sums of table look-ups by vpshufb; m (a multiple of 4) sub-quantizers, 64 bytes of code a step.

    Bytes are summed as 16-bit words twice, whole and shifted down by 8: the odd bytes are the second sum, the even
    ones the first less the second moved back up. 512 entries of at most 127 stay below 65,536.
    """
    bytes_, words = vector(I8, 32), vector(I16, 16)
    low_nibble = constant(I8, [15] * 32)
    four, eight = constant(I16, [4] * 16), constant(I16, [8] * 16)

    def look_up(entries: Any, codes: Any) -> Any:
        return call(builder, "llvm.x86.avx2.pshuf.b", bytes_, [entries, codes])

    def step(index: Any, sums: list[Any]) -> list[Any]:
        offset = builder.shl(index, I64(6))
        halves = [builder.add(offset, I64(half)) for half in (0, 32)]
        both = [load(builder, builder.add(table, at), bytes_) for at in halves]
        out = []
        for n, (record, ahead) in enumerate(zip(records, aheads, strict=True)):
            prefetch(builder, builder.add(ahead, offset))
            low, high = None, None
            for at, entries in zip(halves, both, strict=True):
                codes = load(builder, builder.add(record, at), bytes_)
                upper = builder.bitcast(builder.lshr(builder.bitcast(codes, words), four), bytes_)
                first = look_up(entries, builder.and_(codes, low_nibble))
                second = look_up(entries, builder.and_(upper, low_nibble))
                low = first if low is None else builder.add(low, first)
                high = second if high is None else builder.add(high, second)
            mine = sums[4 * n : 4 * n + 4]
            for pair, total in zip((mine[:2], mine[2:]), (low, high), strict=True):
                word = builder.bitcast(total, words)
                out += [builder.add(pair[0], word), builder.add(pair[1], builder.lshr(word, eight))]
        return out

    zero = ir.Constant(words, None)
    sums = loop(builder, builder.lshr(m, I64(2)), [zero] * (4 * len(records)), step)

    def unpack(whole: Any, odd: Any) -> Any:
        even = builder.sub(whole, builder.shl(odd, eight))
        half = vector(I16, 8)
        folded = []
        for part in (even, odd):  # lane 0 holds the even sub-quantizers, lane 1 the odd ones
            lanes = [builder.shuffle_vector(part, part, constant(I32, list(range(at, at + 8)))) for at in (0, 8)]
            folded.append(builder.add(*lanes))
        order = [w // 2 + 8 * (w % 2) for w in range(16)]
        assert folded[0].type == half
        return builder.zext(builder.shuffle_vector(folded[0], folded[1], constant(I32, order)), vector(I32, 16))

    return [(unpack(*sums[n : n + 2]), unpack(*sums[n + 2 : n + 4])) for n in range(0, len(sums), 4)]


def sums_avx512(builder: Any, records: list[Any], table: Any, m: Any, aheads: list[Any]) -> list[Sums]:
    """Sums by vpshufb, one table a lane. Two look-ups add as bytes; one vpermb brings the four of each vector side by
    side, and vpdpbusd adds them in 32-bit lanes. A high nibble comes down by one affine map of bits (gf2p8affineqb).
    """
    bytes_, lanes = vector(I8, 64), vector(I32, 16)
    transpose = constant(I8, [16 * (i % 4) + i // 4 for i in range(64)])
    low_nibble, ones = constant(I8, [15] * 64), constant(I8, [1] * 64)
    down = builder.bitcast(constant(I64, [DOWN] * 8), bytes_)

    def look_up(entries: Any, codes_at: Any, ahead: Any) -> list[Any]:
        prefetch(builder, ahead)
        codes = load(builder, codes_at, bytes_)
        high = call(builder, "llvm.x86.vgf2p8affineqb.512", bytes_, [codes, down, I8(0)])
        nibbles = builder.and_(codes, low_nibble), high
        return [call(builder, "llvm.x86.avx512.pshuf.b.512", bytes_, [entries, each]) for each in nibbles]

    def add(total: Any, found: Any) -> Any:
        beside = call(builder, "llvm.x86.avx512.permvar.qi.512", bytes_, [found, transpose])
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", lanes, [total, beside, ones])

    def steps_at(offsets: list[Any], sums: list[Any]) -> list[Any]:
        """One step, or two that add as bytes."""
        entries = [load(builder, builder.add(table, offset), bytes_) for offset in offsets]
        out = []
        for n, (record, ahead) in enumerate(zip(records, aheads, strict=True)):
            found = [
                look_up(each, builder.add(record, offset), builder.add(ahead, offset))
                for each, offset in zip(entries, offsets, strict=True)
            ]
            halves = found[0] if len(found) == 1 else [builder.add(*pair) for pair in zip(*found, strict=True)]
            out += [add(total, half) for total, half in zip(sums[2 * n : 2 * n + 2], halves, strict=True)]
        return out

    def two(index: Any, sums: list[Any]) -> list[Any]:
        offset = builder.shl(index, I64(7))
        return steps_at([offset, builder.add(offset, I64(64))], sums)

    def last(index: Any, sums: list[Any]) -> list[Any]:
        return steps_at([builder.shl(builder.and_(steps, I64(-2)), I64(6))], sums)

    steps, zero = builder.lshr(m, I64(2)), ir.Constant(lanes, None)
    sums = loop(builder, builder.lshr(steps, I64(1)), [zero] * (2 * len(records)), two)
    sums = loop(builder, builder.and_(steps, I64(1)), sums, last)
    return [(sums[n], sums[n + 1]) for n in range(0, len(sums), 2)]


def sums_neon(builder: Any, records: list[Any], table: Any, m: Any, aheads: list[Any]) -> list[Sums]:
    """Sums by tbl, whose register is one table and one half of a group: two sub-quantizers a step, added as bytes and
    then to 16-bit words.
    """
    bytes_, words = vector(I8, 16), vector(I16, 16)
    low_nibble, four = constant(I8, [15] * 16), constant(I8, [4] * 16)

    def look_up(entries: Any, codes: Any) -> Any:
        return call(builder, "llvm.aarch64.neon.tbl1.v16i8", bytes_, [entries, codes])

    def step(index: Any, sums: list[Any]) -> list[Any]:
        offset = builder.shl(index, I64(5))
        halves = [builder.add(offset, I64(half)) for half in (0, 16)]
        both = [load(builder, builder.add(table, at), bytes_) for at in halves]
        out = []
        for n, (record, ahead) in enumerate(zip(records, aheads, strict=True)):
            prefetch(builder, builder.add(ahead, offset))
            pair = []
            for at, entries in zip(halves, both, strict=True):
                codes = load(builder, builder.add(record, at), bytes_)
                low, high = builder.and_(codes, low_nibble), builder.lshr(codes, four)
                pair.append((look_up(entries, low), look_up(entries, high)))
            added = [builder.add(first, second) for first, second in zip(*pair, strict=True)]
            mine = zip(sums[2 * n : 2 * n + 2], added, strict=True)
            out += [builder.add(total, builder.zext(each, words)) for total, each in mine]
        return out

    zero, lanes = ir.Constant(words, None), vector(I32, 16)
    sums = loop(builder, builder.lshr(m, I64(1)), [zero] * (2 * len(records)), step)
    return [(builder.zext(sums[n], lanes), builder.zext(sums[n + 1], lanes)) for n in range(0, len(sums), 2)]


def wide(sums_of: SumsOf) -> SumsOf:
    """Sums of any number of look-ups from one that sums NARROW of them."""

    def sums(builder: Any, records: list[Any], table: Any, m: Any, aheads: list[Any]) -> list[Sums]:
        def part(index: Any, totals: list[Any]) -> list[Any]:
            first = builder.shl(index, I64(NARROW_SHIFT))
            left = builder.sub(m, first)
            size = builder.select(builder.icmp_unsigned("<", left, I64(NARROW)), left, I64(NARROW))
            at = builder.shl(first, I64(4))
            records_, aheads_ = ([builder.add(start, at) for start in starts] for starts in (records, aheads))
            found = sums_of(builder, records_, builder.add(table, at), size, aheads_)
            return [builder.add(total, each) for total, each in zip(totals, chain(*found), strict=True)]

        parts = builder.lshr(builder.add(m, I64(NARROW - 1)), I64(NARROW_SHIFT))
        totals = loop(builder, parts, [ir.Constant(vector(I32, 16), None)] * (2 * len(records)), part)
        return [(totals[n], totals[n + 1]) for n in range(0, len(totals), 2)]

    return sums


def _mul_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return call(builder, "llvm.fma.v16f32", x.type, [x, y, z])


def score_groups_ir(sums_of: SumsOf, builder: Any, args: list[Any], with_bias: bool, groups: int = 1) -> Any:
    """IR of one group, or of two side by side, which read the table once: stores 32 values and 32 upper bounds a group,
    returns the mask of bounds ≥ threshold as i64.

    args: the records, one or two; table, m (i64); A, a, b, g, floor, threshold (f32); where the values go, where the
    bounds go (i64 addresses); the records to ask for meanwhile, line by line.
    """
    records, aheads = args[:groups], args[-groups:]
    table, m, base, a, b, g, floor, threshold, values_at, bounds_at = args[groups:-groups]
    sums = sums_of(builder, records, table, m, aheads)
    base, a, b, g, floor, threshold = (splat(builder, x, 16) for x in (base, a, b, g, floor, threshold))
    mask = None
    for n, total in enumerate(chain(*sums)):  # 16 codes
        half, out = n % 2, I64(64 * n)
        factors, factors_ahead = (builder.add(start[n // 2], builder.shl(m, I64(4))) for start in (records, aheads))
        if half == 0 or with_bias:
            prefetch(builder, builder.add(factors_ahead, I64(64 * half)))
        scale = half_to_float(builder, load(builder, builder.add(factors, I64(32 * half)), vector(I16, 16)))
        start = base
        if with_bias:
            bias = load(builder, builder.add(factors, I64(64 + 32 * half)), vector(I16, 16))
            start = builder.fadd(base, half_to_float(builder, bias))
        inner = _mul_add(builder, a, builder.sitofp(total, vector(F32, 16)), b)
        value = _mul_add(builder, scale, inner, start)
        far = builder.select(builder.fcmp_ordered(">", scale, floor), scale, floor)
        bound = _mul_add(builder, far, g, value)
        store(builder, value, builder.add(values_at, out))
        store(builder, bound, builder.add(bounds_at, out))
        bits = builder.bitcast(builder.fcmp_ordered(">=", bound, threshold), I16)
        bits = builder.shl(builder.zext(bits, I64), I64(16 * n))
        mask = bits if mask is None else builder.or_(mask, bits)
    return mask


def group_sums_ir(sums_of: SumsOf, builder: Any, args: list[Any]) -> Any:
    """IR of the integer half alone, for the parity tests: stores 32 uint32 sums."""
    record, table, m, out = args
    for half, total in enumerate(sums_of(builder, [record], table, m, [record])[0]):
        store(builder, total, builder.add(out, I64(64 * half)))
    return I64(32)


_SUMS = types.uint64(*[types.uint64] * 4)


def _score_type(groups: int) -> Any:
    return types.uint64(*[types.uint64] * (2 + groups), *[types.float32] * 6, *[types.uint64] * (2 + groups))


def _score_intrinsic(name: str, sums_of: SumsOf, with_bias: bool) -> Any:
    def score(typingctx: Any, record: Any, table: Any, m: Any, base: Any, a: Any, b: Any, g: Any, floor: Any,
              threshold: Any, values_at: Any, bounds_at: Any, ahead: Any) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return score_groups_ir(sums_of, builder, list(args), with_bias)

        return _score_type(1), codegen

    score.__name__ = name
    return intrinsic(score)


def _score_pair_intrinsic(name: str, sums_of: SumsOf, with_bias: bool) -> Any:
    def score(typingctx: Any, record: Any, second: Any, table: Any, m: Any, base: Any, a: Any, b: Any, g: Any,
              floor: Any, threshold: Any, values_at: Any, bounds_at: Any, ahead: Any, second_ahead: Any
              ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return score_groups_ir(sums_of, builder, list(args), with_bias, groups=2)

        return _score_type(2), codegen

    score.__name__ = name
    return intrinsic(score)


def _sums_intrinsic(name: str, sums_of: SumsOf) -> Any:
    def sums(typingctx: Any, record: Any, table: Any, m: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return group_sums_ir(sums_of, builder, list(args))

        return _SUMS, codegen

    sums.__name__ = name
    return intrinsic(sums)


# By family of kernels; "neon" is that of both its families, which differ in other products.
SUMS: dict[str, SumsOf] = {"avx512": sums_avx512, "avx2": sums_avx2, "neon": sums_neon}
WIDE: dict[str, SumsOf] = {
    "avx512": sums_avx512,  # 32-bit from the start
    "avx2": wide(sums_avx2),
    "neon": wide(sums_neon),
}
SCORES = {
    (family, bias): _score_intrinsic(f"score_{family}_{bias}", sums, bias)
    for family, sums in SUMS.items()
    for bias in (False, True)
}
SCORES_WIDE = {
    (family, bias): _score_intrinsic(f"score_wide_{family}_{bias}", sums, bias)
    for family, sums in WIDE.items()
    for bias in (False, True)
}
SCORE_PAIRS = {
    (family, bias): _score_pair_intrinsic(f"score_pair_{family}_{bias}", sums, bias)
    for family, sums in SUMS.items()
    for bias in (False, True)
}
GROUP_SUMS = {family: _sums_intrinsic(f"group_sums_{family}", sums) for family, sums in SUMS.items()}
GROUP_SUMS_WIDE = {family: _sums_intrinsic(f"group_sums_wide_{family}", sums) for family, sums in WIDE.items()}
