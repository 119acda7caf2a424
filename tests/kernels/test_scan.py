"""The scan's kernels against numpy and against each other: sums to the bit, scores to 1e-6, nothing found
that is not there."""

import numpy as np
import pytest

from pqdb.kernels import ahead, scan, scan_plain
from pqdb.partition.router import banked, nibble_banked
from pqdb.quantization.pack import group_bytes, pack_list
from tests import naive
from tests.kernels import families

SIZES = (4, 8, 12, 96, 384, 512)
both = pytest.mark.parametrize("bias", [False, True], ids=["inner product", "l2"])
SCANS = [
    ("avx512", ("vpshufb", "vgf2p8affineqb", "vpermb", "vpdpbusd")),
    ("avx2", ("vpshufb", "vcvtph2ps")),
    ("neon", ("tbl", "fcvtl", "fmla")),
]
every_family = pytest.mark.parametrize("family", families.FAMILIES)


def nibbles(rng: np.random.Generator, m: int) -> tuple[np.ndarray, np.ndarray]:
    """The codes of a full group, packed, and a table of 7-bit entries with its extremes in it."""
    table = rng.integers(0, 128, (m, 16)).astype(np.uint8)
    return rng.integers(0, 256, 16 * m).astype(np.uint8), table


@every_family
@pytest.mark.parametrize("m", SIZES)
def test_sums_of_nibbles_equal_the_naive_ones_to_the_bit(rng: np.random.Generator, family: str, m: int) -> None:
    sums = families.group_sums(family)
    for _ in range(3):
        record, table = nibbles(rng, m)
        assert np.array_equal(sums(record, table), naive.search.group_sums(record, table, nbits=4))


@every_family
def test_the_largest_sum_there_can_be_does_not_overflow(family: str) -> None:
    """512 entries of 127 are 65,024: they fit the 16 bits that AVX2 and NEON sum in; longer codes are summed in
    parts."""
    record, table = np.full(16 * 512, 255, np.uint8), np.full((512, 16), 127, np.uint8)
    assert families.group_sums(family)(record, table).tolist() == [512 * 127] * 32


@every_family
@pytest.mark.parametrize("m", [4, 512, 516, 768, 1_536])
def test_sums_of_any_number_of_nibbles_are_widened_in_time(rng: np.random.Generator, family: str, m: int) -> None:
    sums = families.group_sums(family, wide=True)
    record, table = nibbles(rng, m)
    assert np.array_equal(sums(record, table), naive.search.group_sums(record, table, nbits=4))
    record[:], table[:] = 255, 127
    assert sums(record, table).tolist() == [m * 127] * 32


@pytest.mark.parametrize("m", [4, 8, 60])
def test_sums_of_bytes_equal_the_naive_ones_to_the_bit(rng: np.random.Generator, m: int) -> None:
    record = rng.integers(0, 256, 32 * m).astype(np.uint8)
    table = rng.integers(0, 65_536, (m, 256)).astype(np.uint16)
    sums = np.empty(32, np.uint32)
    scan_plain.byte_sums_plain(families.at(record), families.at(table), m, families.at(sums))
    assert np.array_equal(sums, naive.search.group_sums(record, table, nbits=8))


def with_factors(rng: np.random.Generator, record: np.ndarray, bias: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    factors = rng.uniform(0.1, 2, 32).astype(np.float16)
    biases = rng.uniform(-3, 0, 32).astype(np.float16) if bias else np.zeros(32, np.float16)
    parts = [record, factors.view(np.uint8)] + ([biases.view(np.uint8)] if bias else [])
    return np.concatenate(parts), factors, biases


@every_family
@both
@pytest.mark.parametrize("m", SIZES)
def test_scores_equal_the_naive_ones_to_a_millionth(rng: np.random.Generator, family: str, m: int, bias: bool) -> None:
    score = families.score_group(family, bias)
    codes, table = nibbles(rng, m)
    record, factors, biases = with_factors(rng, codes, bias)
    base, a, b, g, floor = (np.float32(x) for x in (-0.7, 0.013, -0.4, 0.05, 0.9))  # some scales are below it
    values, bounds, _ = score(record, table, base, a, b, g, floor, 0.0)
    sums = naive.search.group_sums(codes, table, nbits=4)
    numbers = (float(each) for each in (base, a, b, g, floor))
    true, above = naive.search.group_values(sums, factors, biases, *numbers)
    largest = np.abs(factors * float(a) * sums).max()  # what was added up, where the result cancels
    np.testing.assert_allclose(values, true, rtol=1e-6, atol=1e-6 * largest)
    np.testing.assert_allclose(bounds, above, rtol=1e-6, atol=1e-6 * largest)


@every_family
@both
def test_the_mask_names_the_bounds_that_reach_the_threshold(rng: np.random.Generator, family: str, bias: bool) -> None:
    score = families.score_group(family, bias)
    codes, table = nibbles(rng, 12)
    record, _, _ = with_factors(rng, codes, bias)
    _, bounds, _ = score(record, table, 0.5, 0.01, -0.2, 0.1, 0.6, 0.0)
    threshold = np.sort(bounds)[13]  # equal to one of them: ≥, not >
    again, mask = score(record, table, 0.5, 0.01, -0.2, 0.1, 0.6, threshold)[1:]
    assert [bool(mask >> v & 1) for v in range(32)] == (again >= threshold).tolist()
    assert mask.bit_count() == 19
    assert score(record, table, 0.5, 0.01, -0.2, 0.1, 0.6, -np.inf)[2] == 2**32 - 1
    assert score(record, table, 0.5, 0.01, -0.2, 0.1, 0.6, np.inf)[2] == 0


@pytest.mark.parametrize("family", [family for family in families.FAMILIES if family != "plain"])
@both
@pytest.mark.parametrize("m", SIZES)
def test_two_groups_side_by_side_are_scored_as_one_after_the_other(
    rng: np.random.Generator, family: str, m: int, bias: bool
) -> None:
    codes, table = nibbles(rng, m)
    first, _, _ = with_factors(rng, codes, bias)
    second, _, _ = with_factors(rng, nibbles(rng, m)[0], bias)
    numbers = -0.7, 0.013, -0.4, 0.05, 0.9
    score, threshold = families.score_group(family, bias), 0.2
    each = [score(record, table, *numbers, threshold) for record in (first, second)]
    values, bounds, mask = families.score_pair(family, bias)(np.stack([first, second]), table, *numbers, threshold)
    assert np.array_equal(values, np.concatenate([each[0][0], each[1][0]]))
    assert np.array_equal(bounds, np.concatenate([each[0][1], each[1][1]]))
    assert mask == each[0][2] | each[1][2] << 32


@every_family
@pytest.mark.parametrize("size", range(64, 1537, 64))
def test_int8_products_equal_numpy_to_the_bit(rng: np.random.Generator, family: str, size: int) -> None:
    dot = families.dot_i8(family)
    row, query = rng.integers(-128, 128, (2, size)).astype(np.int8)
    assert dot(row, query) == int(row.astype(np.int64) @ query.astype(np.int64))
    for extreme in (-128, 127):
        row[:] = query[:] = extreme
        assert dot(row, query) == size * extreme**2


@every_family
@pytest.mark.parametrize("dim", [1, 4, 7, 64, 100, 385])
def test_products_with_a_bank_equal_numpy_to_the_bit(rng: np.random.Generator, family: str, dim: int) -> None:
    rows, quads = rng.integers(-127, 128, (64, dim)).astype(np.int8), -(-dim // 4)
    query = np.zeros(4 * quads, np.int8)
    query[:dim] = rng.integers(-127, 128, dim)
    products = families.dots_u8(family)
    for extreme in (None, -127, 127):
        if extreme is not None:
            rows[:], query[:dim] = extreme, extreme
        bank = banked(rows)
        assert bank.shape == (1, quads, 64, 4)
        found = products(bank[0], query) - 128 * int(query.sum(dtype=np.int64))
        assert found.tolist() == (rows.astype(np.int64) @ query[:dim].astype(np.int64)).tolist()


@every_family
@pytest.mark.parametrize("dim", [1, 4, 7, 64, 100, 385])
def test_products_with_a_bank_of_nibbles_equal_numpy_to_the_bit(
    rng: np.random.Generator, family: str, dim: int
) -> None:
    rows, steps = rng.integers(0, 16, (64, dim)).astype(np.uint8), -(-dim // 8)
    query = np.zeros(8 * steps, np.int8)
    query[:dim] = rng.integers(-127, 128, dim)
    products = families.dots_u4(family)
    for extreme in (None, -127, 127):
        if extreme is not None:
            rows[:], query[:dim] = 15, extreme
        bank = nibble_banked(rows)
        assert bank.shape == (1, steps, 64, 4)
        assert products(bank[0], query).tolist() == (rows.astype(np.int64) @ query[:dim].astype(np.int64)).tolist()


@pytest.mark.parametrize(("family", "words"), SCANS)
@both
@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
def test_every_scan_compiles_for_a_machine_that_has_the_instructions(
    family: str, words: tuple[str, ...], bias: bool, wide: bool
) -> None:
    """Also where this machine lacks them: the parity tests above are skipped there, the IR is still proven
    to be code."""
    assembly = families.score_assembly(family, bias, wide)
    assert all(word in assembly for word in words)


@pytest.mark.parametrize(
    ("family", "word"), [("avx512", "vpdpbusd"), ("avx2", "vpmaddwd"), ("neondot", "sdot"), ("neon", "smull")]
)
def test_every_product_compiles_for_a_machine_that_has_the_instructions(family: str, word: str) -> None:
    assert word in families.dot_assembly(family)
    assert (word if family != "neon" else "mul") in families.bank_assembly(family, nibbles=False)
    if family == "avx2":
        word = "vpmaddubsw"
    assert (word if family != "neon" else "mul") in families.bank_assembly(family, nibbles=True)


# -- whole lists


class Lists:
    """Made-up lists of codes, and the same packed at addresses, as the scan takes them."""

    def __init__(self, rng: np.random.Generator, counts: list[int], m: int, nbits: int, bias: bool) -> None:
        self.m, self.nbits, self.bias = m, nbits, bias
        self.n = sum(counts)
        ksub = 1 << nbits
        numbers = np.split(rng.permutation(self.n).astype(np.uint32), np.cumsum(counts)[:-1])
        self.codes = [rng.integers(0, ksub, (count, m)).astype(np.uint8) for count in counts]
        self.s = [rng.uniform(0.1, 2, count).astype(np.float16).astype(np.float32) for count in counts]
        low = -3.0 if bias else 0.0
        self.biases = [rng.uniform(low, 0, count).astype(np.float16).astype(np.float32) for count in counts]
        self.rows = numbers
        self.blocks = [
            pack_list(codes, s, b if bias else None, rows, nbits)
            for codes, s, b, rows in zip(self.codes, self.s, self.biases, numbers, strict=True)
        ]
        self.addresses = np.array([families.at(block) if len(block) else 0 for block in self.blocks], np.uint64)
        self.counts = np.array(counts, np.uint32)
        top = 127 if nbits == 4 else 65_535
        self.table = rng.integers(0, top + 1, (1, m, ksub)).astype(np.uint8 if nbits == 4 else np.uint16)
        self.coefficients = np.array([[4.0 / top, -m]], np.float32)
        self.bases = rng.uniform(-1, 1, (1, len(counts))).astype(np.float32)
        self.margins = rng.uniform(0, 0.3, (1, len(counts))).astype(np.float32)
        self.floors = np.full(1, 0.8, np.float32)  # some scales are below it
        self.everyone = np.full(self.n // 8 + 9, 255, np.uint8)

    def scan(
        self, order: list[int], depth: int, allowed: np.ndarray, room: int, words: bool = False,
        reached: list[float] | None = None,
    ) -> tuple[int, dict[int, tuple[float, float]], float]:  # fmt: skip
        """Queries finished, {row: (value, bound)} of the candidates, and the cut. words: with what is allowed list by
        list, too.
        """
        lists = np.array([order], np.int32)
        values, bounds = np.empty(room, np.float32), np.empty(room, np.float32)
        rows, places = np.empty(room, np.uint32), np.empty(room, np.int64)
        starts, cuts = np.empty(2, np.int64), np.empty(1, np.float32)
        done = scan.scan_lists(
            self.nbits, self.m, group_bytes(self.m, self.nbits, self.bias), self.bias, self.addresses,
            self.counts,
            lists, np.array([len(order)], np.int32), self.bases[:, : len(order)].copy(),
            self.margins[:, : len(order)].copy(), self.floors, self.table, self.coefficients, allowed,
            *(self.words(allowed) if words else (np.zeros(0, np.uint32), np.zeros(0, np.int64))),
            *nothing_more(reached), np.empty(depth, np.float32), np.empty(scan.SPACE, np.uint64), values, bounds, rows,
            places, starts, cuts,
        )  # fmt: skip
        if done < 1:
            return done, {}, 0.0
        found = {}
        for i in range(starts[1]):
            probe, position = divmod(int(places[i]), 1 << 32)
            assert self.rows[order[probe]][position] == rows[i]  # a place leads back to its row
            found[int(rows[i])] = (float(values[i]), float(bounds[i]))
        assert len(found) == starts[1]
        return done, found, float(cuts[0])

    def words(self, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A word for each group of each list, and the first of each list."""
        bits, words, firsts = np.unpackbits(allowed, bitorder="little"), [], [0]
        for rows in self.rows:
            groups = [rows[first : first + 32] for first in range(0, len(rows), 32)]
            words += [sum(int(bits[row]) << i for i, row in enumerate(group)) for group in groups]
            firsts.append(len(words))
        return np.array(words, np.uint32), np.array(firsts, np.int64)

    def naive(self, order: list[int], depth: int, allowed: np.ndarray) -> tuple[dict[int, tuple[float, float]], float]:
        lists = [
            (float(self.bases[0, p]), float(self.margins[0, p]), self.s[i], self.biases[i], self.rows[i])
            for p, i in enumerate(order)
        ]
        bits = np.unpackbits(allowed, bitorder="little")
        tables = (self.table[0], float(self.coefficients[0, 0]), float(self.coefficients[0, 1]))
        return naive.search.scan(lists, [self.codes[i] for i in order], tables, bits, depth, self.nbits, 0.8)


def nothing_more(reached: list[float] | None = None) -> tuple[object, ...]:
    """Lists that may be scanned besides: none; and the values that queries are held at, if they are."""
    none, held = np.zeros(0, np.int32), np.array(reached or [], np.float32)
    shares, cells = np.zeros((1, 1), np.float32), np.zeros((0, 1, 4), np.float32)
    return none, none, none, shares, cells, none[:, None], 0, held


def same(found: dict[int, tuple[float, float]], true: dict[int, tuple[float, float]]) -> None:
    assert found.keys() == true.keys()
    for row, pair in found.items():
        assert pair == pytest.approx(true[row], rel=1e-5, abs=1e-5)


@both
@pytest.mark.parametrize(("m", "nbits"), [(8, 4), (12, 4), (4, 8)])
def test_a_scan_keeps_what_the_naive_scan_keeps(rng: np.random.Generator, m: int, nbits: int, bias: bool) -> None:
    lists = Lists(rng, [40, 0, 1, 32, 33], m, nbits, bias)
    for order in ([0, 1, 2, 3, 4], [3, 0], [1]):
        found, cut = lists.scan(order, 5, lists.everyone, 200)[1:]
        true, true_cut = lists.naive(order, 5, lists.everyone)
        same(found, true)
        assert cut == pytest.approx(true_cut, rel=1e-5)


@both
def test_a_query_is_held_at_the_value_that_is_known_to_be_reached(rng: np.random.Generator, bias: bool) -> None:
    lists = Lists(rng, [40, 30, 35], 8, 4, bias)
    everything, _ = lists.naive([1, 0, 2], lists.n, lists.everyone)
    known = float(np.median([value for value, _ in everything.values()]))
    found, cut = lists.scan([1, 0, 2], 3, lists.everyone, 200, reached=[known])[1:]
    assert cut == pytest.approx(known)
    same(found, {row: pair for row, pair in everything.items() if pair[1] >= known})
    assert lists.scan([1, 0, 2], 3, lists.everyone, 200, reached=[np.inf]) == lists.scan(
        [1, 0, 2], 3, lists.everyone, 200
    )


@both
def test_rows_that_are_not_allowed_are_not_found_and_do_not_raise_the_cut(rng: np.random.Generator, bias: bool) -> None:
    lists = Lists(rng, [40, 30], 8, 4, bias)
    allowed = np.packbits(rng.random(lists.n + 72) < 0.4, bitorder="little")
    found, cut = lists.scan([1, 0], 4, allowed, 100)[1:]
    true, true_cut = lists.naive([1, 0], 4, allowed)
    same(found, true)
    assert cut == pytest.approx(true_cut, rel=1e-5)
    assert not lists.scan([1, 0], 4, np.zeros_like(allowed), 100)[1]


@pytest.mark.parametrize(("m", "nbits"), [(8, 4), (4, 8)])
def test_without_a_bitmap_every_row_may_be_found(rng: np.random.Generator, m: int, nbits: int) -> None:
    lists = Lists(rng, [40, 30], m, nbits, False)
    assert lists.scan([1, 0], 4, np.zeros(0, np.uint8), 100) == lists.scan([1, 0], 4, lists.everyone, 100)


@both
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 1.0])
def test_groups_without_a_row_that_is_allowed_are_passed_over(
    rng: np.random.Generator, bias: bool, share: float
) -> None:
    lists = Lists(rng, [200, 0, 31, 96], 8, 4, bias)
    allowed = np.packbits(rng.random(lists.n + 72) < share, bitorder="little")
    plain, filtered = (lists.scan([3, 1, 2, 0], 4, allowed, 500, words) for words in (False, True))
    assert filtered == plain


@both
@pytest.mark.parametrize("count", [1, 31, 33])
def test_padding_of_the_last_group_is_never_found(rng: np.random.Generator, count: int, bias: bool) -> None:
    """Padded places score like real ones; even when nothing is cut and all bits are set they must not come
    out."""
    lists = Lists(rng, [count], 4, 4, bias)
    found = lists.scan([0], count + 31, np.full(1 << 16, 255, np.uint8), 200)[1]
    assert sorted(found) == list(range(count))


def test_a_scan_without_room_says_how_far_it_came(rng: np.random.Generator) -> None:
    lists = Lists(rng, [40, 30], 8, 4, False)
    assert lists.scan([0, 1], 3, lists.everyone, 69)[0] == 0
    assert lists.scan([0, 1], 3, lists.everyone, 70)[0] == 1


def ahead_of(
    counts: list[int], order: list[int], passing: list[int] | None = None, until: int | None = None
) -> list[int]:
    """What is asked for while all groups are scanned, list l lying at 10,000·l and a record taking 100 bytes; 1 where
    there is nothing to ask for. passing: the words of all groups; until: lists that are known of at first.
    """
    sizes = [-(-count // 32) for count in counts]
    firsts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    words = np.array([] if passing is None else passing, np.uint32)
    codes = np.arange(len(counts)).astype(np.uint64) * np.uint64(10_000)
    numbers, lists = np.array(order, np.int32), ahead.Lists(codes, np.array(counts, np.uint32), words, firsts)
    stop = len(order) if until is None else until
    place = ahead.run_ahead(100, numbers, stop, lists)
    asked = []
    for _ in range(sum(sizes[which] for which in order)):
        at, place = ahead.look_ahead(place, np.uint64(1), 100, numbers, len(order), lists)
        asked.append(int(at))
    return asked


def groups_in(counts: list[int], order: list[int]) -> list[int]:
    """The addresses of all groups, as ahead_of lays them."""
    return [10_000 * which + 100 * group for which in order for group in range(-(-counts[which] // 32))]


def test_every_group_is_asked_for_that_many_groups_ahead() -> None:
    counts, order = [70, 3, 0, 128, 33, 0, 64, 1, 200], [3, 2, 0, 8, 1, 5, 6, 4, 7]
    asked = ahead_of(counts, order)
    assert asked == groups_in(counts, order)[ahead.AHEAD :] + [1] * ahead.AHEAD
    assert len(asked) == 20 > ahead.AHEAD


def test_groups_in_which_nothing_passes_are_not_asked_for() -> None:
    counts, order = [70, 3, 0, 128, 33, 0, 64, 1, 400], [8, 3, 2, 0]
    words = [int(group % 3 > 0) for group in range(sum(-(-count // 32) for count in counts))]
    firsts = np.concatenate([[0], np.cumsum([-(-count // 32) for count in counts])])
    pass_ = [at for at in groups_in(counts, order) if words[firsts[at // 10_000] + at % 10_000 // 100]]
    asked = ahead_of(counts, order, words)
    assert asked == pass_[ahead.AHEAD :] + [1] * (len(asked) - len(pass_) + ahead.AHEAD)
    assert ahead.AHEAD < len(pass_) < len(asked)


@pytest.mark.parametrize("until", [0, 1, 3])
def test_lists_added_on_the_way_are_asked_for_too(until: int) -> None:
    """What is there when a scan begins may be less than there is to run ahead of."""
    counts, order = [70, 3, 0, 128], [1, 2, 0, 3]
    groups = groups_in(counts, order)
    known = len(groups_in(counts, order[:until]))
    assert known < ahead.AHEAD
    assert ahead_of(counts, order, until=until) == groups[known:] + [1] * known
