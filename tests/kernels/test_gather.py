"""Records of rows, gathered from pages at addresses."""

import numpy as np

from pqdb.kernels.frame import ANSWER
from pqdb.kernels.gather import divide_rows, meet_rows, write_answers
from tests.kernels.families import at


def test_answers_hold_the_first_and_last_words_of_each_row_and_what_they_have_in_common(
    rng: np.random.Generator,
) -> None:
    pages = [rng.integers(0, 2**63, (5, 3)).astype(np.uint64) for _ in range(4)]  # 5 records of 24 bytes a page
    rows = rng.permutation(20)[:14].astype(np.uint32).reshape(2, 7)
    values = rng.standard_normal((2, 7)).astype(np.float32)
    answers = np.empty((2, 7), ANSWER)
    found, every = write_answers(np.array([at(page) for page in pages], np.uint64), 5, 24, 16, values, rows, answers)
    whole = np.concatenate(pages)[rows]
    assert np.array_equal(answers["id"], whole[..., 0])
    assert np.array_equal(answers["tail"], whole[..., 2])
    assert np.array_equal(answers["value"], values)
    assert np.array_equal(answers["row"], rows)
    assert found == 14
    assert int(every) == int(np.bitwise_or.reduce(whole[..., 2], axis=None))


def test_empty_places_look_at_no_page() -> None:
    answers = np.empty((1, 3), ANSWER)
    nothing = np.full((1, 3), -np.inf, np.float32)
    assert write_answers(np.zeros(0, np.uint64), 5, 24, 16, nothing, np.zeros((1, 3), np.uint32), answers) == (0, 0)
    assert np.all(answers["value"] == -np.inf)
    assert not answers["id"].any()
    assert not answers["tail"].any()


def test_rows_are_met_list_by_list_as_naively_counted(rng: np.random.Generator) -> None:
    sizes = rng.integers(0, 40, 30)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = rng.permutation(starts[-1]).astype(np.uint32)
    passes = rng.random(len(rows)) < 0.1
    bits = np.packbits(passes, bitorder="little")
    lists = rng.permutation(30).astype(np.int32)
    sizes_met, met = sizes[lists], np.array([passes[rows[starts[i] : starts[i + 1]]].sum() for i in lists])
    for wanted, most in ((3, 1e9), (10, 1e9), (10, 60), (10_000, 1e9)):
        ended = (p for p in range(30) if met[: p + 1].sum() >= 2 * wanted or sizes_met[: p + 1].sum() > most)
        stop = next(ended, 29)
        once, twice, allowed, passed = meet_rows(rows, starts, lists, bits, wanted, 2 * wanted, most)
        assert (allowed, passed) == (met[: stop + 1].sum(), sizes_met[: stop + 1].sum())
        for many, found in ((wanted, once), (2 * wanted, twice)):
            p = next((p for p in range(stop + 1) if met[: p + 1].sum() >= many), None)
            before = sizes_met[:p].sum() if p is not None else passed
            assert found == (passed if p is None else before + sizes_met[p] * (many - met[:p].sum()) / met[p])


def test_rows_are_divided_by_how_many_their_list_holds(rng: np.random.Generator) -> None:
    lists = rng.integers(0, 50, 400).astype(np.int32)
    rows = np.sort(rng.permutation(400)[:200]).astype(np.uint32)
    counts, others = np.empty(50, np.int32), np.empty(200, np.uint32)
    for few in (0, 3, 4, 1_000):
        n = divide_rows(lists, rows, few, counts, others)
        truth = np.bincount(lists[rows], minlength=50)
        assert np.array_equal(counts, truth)
        assert np.array_equal(others[:n], rows[truth[lists[rows]] <= few])
