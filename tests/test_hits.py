"""What verbs give back."""

import json

import numpy as np
import pytest

from pqdb.hits import BatchHits, Explanation, Hit, Hits, PlainHits, RecallReport
from pqdb.kernels.frame import WORDS, named


def some(n: int, payloads: bool = True) -> Hits:
    raw: list[bytes | None] = [json.dumps({"at": i}).encode() if i else None for i in range(n)]
    words = np.zeros((2, n, WORDS), np.uint64)
    answers = named(words)
    answers["value"][1] = np.linspace(1, 0.5, n, dtype=np.float32)
    answers["tail"][1] = np.arange(n, dtype=np.uint64) | np.uint64(1 << 60)  # flags lie above the version
    return Hits(words, 1, n, "cosine", [f"p{i}" for i in range(n)], raw if payloads else None)


def test_hits_are_a_sequence_of_hits() -> None:
    hits = some(3)
    assert len(hits) == 3
    assert hits[0] == Hit("p0", 1.0, None, None, 0)
    assert hits[-1] == Hit("p2", 0.5, {"at": 2}, None, 2)
    assert hits[1:] == [hits[1], hits[2]]
    assert [hit.id for hit in hits] == hits.ids == ["p0", "p1", "p2"]
    with pytest.raises(IndexError):
        hits[3]


def test_each_look_at_a_payload_gives_ones_own() -> None:
    hits = some(2)
    first = hits[1].payload
    assert first is not None
    first["at"] = "changed"
    assert hits[1].payload == {"at": 1}


def test_without_payloads_there_are_none() -> None:
    assert [hit.payload for hit in some(2, payloads=False)] == [None, None]


def test_hits_print_their_beginning() -> None:
    assert repr(some(2)) == "Hits(2: 'p0': 1.0000, 'p1': 0.5000)"
    assert repr(some(9)).endswith(", …)")
    assert repr(some(0)) == "Hits(0: )"


def test_a_batch_pads_what_is_missing() -> None:
    batch = BatchHits([some(2), some(0), some(3)], 3)
    assert len(batch) == 3
    assert batch.counts.tolist() == [2, 0, 3]
    assert batch.ids.shape == batch.scores.shape == (3, 3)
    assert batch.ids.tolist() == [["p0", "p1", None], [None] * 3, ["p0", "p1", "p2"]]
    assert np.isnan(batch.scores).tolist() == [[False, False, True], [True] * 3, [False] * 3]
    assert batch[2].ids == ["p0", "p1", "p2"]
    assert [len(hits) for hits in batch[:2]] == [2, 0]


def test_reports_read_as_sentences() -> None:
    assert str(RecallReport(0.9712, 0.96, 0.98, 10, 200, "stored rows")) == (
        "recall@10 0.971 (95 %: 0.960–0.980; 200 stored rows)"
    )
    lossy = RecallReport(0.97, 0.96, 0.98, 10, 200, "stored rows", 0.02, 0.01, 0.0)
    assert str(lossy).endswith("200 stored rows); lost by partition 0.020, codes 0.010")
    told = str(Explanation("codes", 3, 40, 210, 17, 12, 5, 0.95, {"route": 1.5}, groups=8, expected=0.951))
    assert told == (
        "codes: 3 of 40 lists, 210 codes in 8 groups, 17 candidates, 12 reranked, 5 fresh rows, recall expected 0.951; "
        "µs: route 1.5"
    )


def test_hits_that_are_only_numbers_are_those_made_one_by_one(rng: np.random.Generator) -> None:
    words = np.zeros((3, 4, 3), np.uint64)
    answers = named(words)
    answers["id"], answers["tail"] = rng.integers(0, 2**63, (3, 4)), 7
    answers["value"] = -np.sort(-rng.uniform(0, 1, (3, 4)).astype(np.float32))
    answers["value"][0, 2:], answers["value"][1] = -np.inf, -np.inf
    counts = [2, 0, 4]
    plain, one_by_one = PlainHits(words, "cosine"), [Hits(words, i, n, "cosine") for i, n in enumerate(counts)]
    assert [each.ids for each in plain] == [each.ids for each in one_by_one]
    assert [list(each) for each in plain[1:]] == [list(each) for each in one_by_one[1:]]
    assert plain[-1].scores.tolist() == one_by_one[2].scores.tolist()
    with pytest.raises(IndexError):
        plain[3]
    for k in (4, 6):
        batch, other = BatchHits(plain, k), BatchHits(one_by_one, k)
        assert all(batch[i] is batch[i] for i in range(len(batch)))
        assert batch.ids.tolist() == other.ids.tolist()
        assert batch.ids.shape == (3, k)
        assert {type(each) for each in batch.ids.ravel()} == {int, type(None)}
        assert np.array_equal(batch.scores, other.scores, equal_nan=True)
        assert batch.counts.tolist() == counts
