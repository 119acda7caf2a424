"""A group of codes against a query's table, or two side by side, by the kernels this machine has: values, upper bounds,
and which of these reach a threshold.
"""

from typing import NamedTuple

import numpy as np

from pqdb.kernels import scan_plain, scan_simd
from pqdb.kernels._cpu import FAMILY, SIMD
from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Address, Real, Whole
from pqdb.kernels.intrinsics import prefetch
from pqdb.kernels.pack import GROUP

SCAN_FAMILY = FAMILY.removesuffix("dot")  # both families of ARM scan alike
NARROW, WIDENS = scan_simd.NARROW, SCAN_FAMILY != "avx512"  # whether sums of more nibbles take a second step
score, score_bias = (scan_simd.SCORES[SCAN_FAMILY, bias] for bias in (False, True))
score_two, score_bias_two = (scan_simd.SCORE_PAIRS[SCAN_FAMILY, bias] for bias in (False, True))
score_wide, score_bias_wide = (scan_simd.SCORES_WIDE[SCAN_FAMILY, bias] for bias in (False, True))


class Code(NamedTuple):
    """How codes lie."""

    nbits: Whole
    m: Whole
    record_bytes: Whole  # of a group
    bias: bool  # whether a group has biases, as for l2


class Query(NamedTuple):
    """What codes are scored by, in any list: see scan_simd."""

    table: Address
    a: Real
    b: Real
    floor: Real


class Scores(NamedTuple):
    """Where they go: addresses of 32 values and 32 upper bounds a group, and of scratch for 32 sums."""

    values: Address
    bounds: Address
    sums: Address


@kernel_inline
def beyond(scores: Scores, groups: Whole) -> Scores:
    """The place for scores that lies so many groups behind."""
    size = np.uint64(4 * GROUP * groups)
    return Scores(scores.values + size, scores.bounds + size, scores.sums)


if SIMD:

    @kernel_inline
    def score_nibbles(
        code: Code, query: Query, record: Address, base: Real, margin: Real, threshold: Real, out: Scores,
        asked: Address,
    ) -> Whole:  # fmt: skip
        """score_group of 4-bit codes; see scan_simd."""
        table, m, a, b, floor = query.table, np.uint64(code.m), query.a, query.b, query.floor
        if WIDENS and code.m > NARROW:
            if code.bias:
                return score_bias_wide(
                    record, table, m, base, a, b, margin, floor, threshold, out.values, out.bounds, asked
                )
            return score_wide(record, table, m, base, a, b, margin, floor, threshold, out.values, out.bounds, asked)
        if code.bias:
            return score_bias(record, table, m, base, a, b, margin, floor, threshold, out.values, out.bounds, asked)
        return score(record, table, m, base, a, b, margin, floor, threshold, out.values, out.bounds, asked)

else:

    @kernel_inline
    def score_nibbles(
        code: Code, query: Query, record: Address, base: Real, margin: Real, threshold: Real, out: Scores,
        asked: Address,
    ) -> Whole:  # fmt: skip
        """score_group of 4-bit codes; see scan_plain."""
        scan_plain.group_sums_plain(record, query.table, code.m, out.sums)
        return scan_plain.score_sums_plain(
            record + np.uint64(16 * code.m), out.sums, code.bias, base, query.a, query.b, margin, query.floor,
            threshold, out.values, out.bounds,
        )  # fmt: skip


@kernel_inline
def score_group(
    code: Code, query: Query, record: Address, base: Real, margin: Real, threshold: Real, out: Scores, asked: Address
) -> Whole:
    """Values and upper bounds of one group of a list whose centroid has the value `base`; returns the mask of bounds ≥
    threshold. The record at `asked` is asked for meanwhile.
    """
    if code.nbits == 4:
        return score_nibbles(code, query, record, base, margin, threshold, out, asked)
    for line in range(0, GROUP * code.m, 64):
        prefetch(asked + np.uint64(line))
    scan_plain.byte_sums_plain(record, query.table, code.m, out.sums)
    return scan_plain.score_sums_plain(
        record + np.uint64(GROUP * code.m), out.sums, code.bias, base, query.a, query.b, margin, query.floor, threshold,
        out.values, out.bounds,
    )  # fmt: skip


@kernel_inline
def score_pair(
    code: Code, query: Query, record: Address, base: Real, margin: Real, threshold: Real, out: Scores, asked: Address,
    asked_second: Address,
) -> Whole:  # fmt: skip
    """As score_group, for a group and the next: side by side they read the table once, and take a tenth less time."""
    second = record + np.uint64(code.record_bytes)
    if SIMD and code.nbits == 4 and not (WIDENS and code.m > NARROW):
        table, m, a, b, floor = query.table, np.uint64(code.m), query.a, query.b, query.floor
        if code.bias:
            return score_bias_two(
                record, second, table, m, base, a, b, margin, floor, threshold, out.values, out.bounds, asked,
                asked_second,
            )  # fmt: skip
        return score_two(
            record, second, table, m, base, a, b, margin, floor, threshold, out.values, out.bounds, asked, asked_second
        )
    first = score_group(code, query, record, base, margin, threshold, out, asked)
    other = score_group(code, query, second, base, margin, threshold, beyond(out, 1), asked_second)
    return first | other << np.uint64(GROUP)
