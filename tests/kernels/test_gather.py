"""Records of rows, gathered from pages at addresses."""

import numpy as np

from pqdb.kernels.frame import ANSWER
from pqdb.kernels.gather import write_answers
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
