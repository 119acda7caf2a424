"""Words that a text index does not count, for they are too short or too long."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from tests.query import engine

TEXTS = [
    "a good book", "good book", "a book", "in a good old house", "in good old house", "extraordinarily long", "x", "",
    "good", "book good", "old a house",
]  # fmt: skip
ASKED = [
    "a good book", "a", "a book", "extraordinarily long", "extraordinarily", "good old house", "in a good", "old house",
    "", "x book", "good a book",
]  # fmt: skip
LENGTHS = [(2, 10), (None, 4), (3, None), (0, None), (4, 4)]


@contextmanager
def kept(texts: list[str]) -> Iterator[pqdb.Collection]:
    """A collection of points with these texts, numbered as they come."""
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("texts", 2)
        made.upsert(range(len(texts)), np.ones((len(texts), 2)), [{"t": text} for text in texts])
        yield made


@pytest.fixture
def texts() -> Iterator[pqdb.Collection]:
    with kept(TEXTS) as made:
        yield made


def matching(collection: pqdb.Collection, kind: str, asked: str, key: str = "t") -> list[Any]:
    found = collection.scroll(limit=100, filter={"must": [{"key": key, "match": {kind: asked}}]})
    return [point.id for point in found.points]


@pytest.mark.skipif(engine.edge is None, reason="qdrant-edge-py is not installed: no second oracle")
@pytest.mark.parametrize(("least", "most"), LENGTHS)
def test_as_the_other_engine_has_it(texts: pqdb.Collection, least: int | None, most: int | None) -> None:
    texts.create_payload_index("t", "text", min_token_len=least, max_token_len=most)
    params = engine.edge.TextIndexParams(
        tokenizer=engine.edge.TokenizerType.Word, min_token_len=least, max_token_len=most, lowercase=True,
        phrase_matching=True,
    )  # fmt: skip
    with engine.Engine([{"t": text} for text in TEXTS], {"t": params}) as shard:
        for kind in ("text", "text_any", "phrase"):
            for asked in ASKED:
                wanted = shard.matching({"must": [{"key": "t", "match": {kind: asked}}]})
                assert matching(texts, kind, asked) == wanted, (kind, asked)


def test_they_count_again_without_the_lengths(texts: pqdb.Collection) -> None:
    assert matching(texts, "text", "a book") == [0, 2]
    assert texts.create_payload_index("t", "text", min_token_len=2)
    assert matching(texts, "text", "a book") == [0, 1, 2, 9]
    assert not texts.create_payload_index("t", "text", min_token_len=1)
    assert matching(texts, "text", "a book") == [0, 2]
    texts.create_payload_index("t", "text", min_token_len=2)
    texts.drop_payload_index("t")
    assert matching(texts, "text", "a book") == [0, 2]


def test_in_every_clause_and_in_elements(texts: pqdb.Collection) -> None:
    texts.upsert([100, 101], np.ones((2, 2)), [{"n": [{"t": "a good book"}]}, {"n": [{"t": "good book"}]}])
    texts.create_payload_index("n[].t", "text", min_token_len=2)
    asked = {"key": "t", "match": {"text": "a good"}}
    inside = {"nested": {"key": "n", "filter": {"must": [asked]}}}
    for clauses, least in (({"must": [inside]}, 2), ({"should": [inside]}, 2), ({"must": [{"must": [inside]}]}, 2)):
        assert texts.count(filter=clauses) == least, clauses
    assert texts.count(filter={"min_should": {"conditions": [inside], "min_count": 1}}) == 2
    assert texts.count(filter={"must_not": [inside]}) == len(TEXTS)
    assert texts.count(filter={"must": [asked]}) == 2  # no index there says what counts


def test_what_a_write_asks_for_counts_the_same(texts: pqdb.Collection) -> None:
    where = {"must": [{"key": "t", "match": {"text": "a good book"}}]}
    texts.upsert([1], np.ones((1, 2)), [{"t": "another"}], where=where)
    assert texts.get([1])[0].payload == {"t": "good book"}
    texts.create_payload_index("t", "text", min_token_len=2)
    texts.upsert([1], np.ones((1, 2)), [{"t": "another"}], where=where)
    assert texts.get([1])[0].payload == {"t": "another"}
    assert texts.delete(filter=where) == 2


def test_they_are_kept_on_disk(tmp_path: Path) -> None:
    with pqdb.open(tmp_path, upkeep="manual") as db:
        made = db.create_collection("texts", 2)
        made.upsert([0], np.ones((1, 2)), [{"t": "good book"}])
        made.create_payload_index("t", "text", min_token_len=2, max_token_len=9)
    with pqdb.open(tmp_path, upkeep="manual") as db:
        told = {"key": "t", "kind": "text", "min_token_len": 2, "max_token_len": 9}
        assert db["texts"].info()["payload_indexes"] == [told]
        assert matching(db["texts"], "text", "a good") == [0]


@pytest.mark.parametrize(
    ("kind", "lengths", "sentence"),
    [
        ("keyword", {"min_token_len": 2}, "are for an index of kind text, not keyword"),
        ("text", {"min_token_len": -1}, "min_token_len is a number of characters, 0 or more, not -1"),
        ("text", {"max_token_len": 2.5}, "max_token_len is a number of characters, 0 or more, not 2.5"),
        ("text", {"min_token_len": 5, "max_token_len": 4}, "no word has 5 characters at least and 4 at most"),
    ],
)
def test_lengths_that_are_none(texts: pqdb.Collection, kind: str, lengths: dict[str, Any], sentence: str) -> None:
    with pytest.raises(pqdb.InputError, match=sentence):
        texts.create_payload_index("t", kind, **lengths)
    assert texts.info()["payload_indexes"] == []


WORLD = [
    "The quick brown Fox", "fox-trot quick", "naïve Ünïcode ÉCOLE", "don't stop", "日本語 テキスト",
    "東京都に住んでいます", "我爱北京天安门", "x²  ½ Ⅷ", "v1.2.3 foo@bar.com", "ภาษาไทยง่าย", "한국어 텍스트", "語",
]  # fmt: skip
SPACED = [
    "fox",
    "quick fox",
    "ecole",
    "école",
    "NAIVE",
    "don't",
    "x2",
    "foo@bar",
    "v1",
    "bar com",
    "한국어",
    "stop dont",
]
UNSPACED = [
    ("日本", [4]), ("日本語", [4]), ("語日", []), ("テキスト", [4]), ("東京", [5]), ("住んで", [5]), ("北京", [6]),
    ("爱北京", [6]), ("ภาษา", [9]), ("ไทย", [9]), ("語", [11]),
]  # fmt: skip


@pytest.fixture
def world() -> Iterator[pqdb.Collection]:
    with kept(WORLD) as made:
        yield made


@pytest.mark.skipif(engine.edge is None, reason="qdrant-edge-py is not installed: no second oracle")
def test_accents_count_where_the_other_engine_has_them_count(world: pqdb.Collection) -> None:
    world.create_payload_index("t", "text", tokenizer="multilingual", min_token_len=2, max_token_len=20)
    params = engine.edge.TextIndexParams(
        tokenizer=engine.edge.TokenizerType.Multilingual, min_token_len=2, max_token_len=20, lowercase=True
    )
    with engine.Engine([{"t": text} for text in WORLD], {"t": params}) as shard:
        for kind in ("text", "text_any"):
            for asked in SPACED:
                wanted = shard.matching({"must": [{"key": "t", "match": {kind: asked}}]})
                assert matching(world, kind, asked) == wanted, (kind, asked)


@pytest.mark.parametrize("indexed", [True, False])
def test_scripts_without_spaces_are_found_by_parts(world: pqdb.Collection, indexed: bool) -> None:
    """By the table, or, where a filter asks for something that has no index, too, by what the payloads say."""
    world.create_payload_index("t", "text", tokenizer="multilingual")
    for asked, found in UNSPACED:
        for kind in ("text", "phrase"):
            part = {"key": "t", "match": {kind: asked}}
            unknown = {"key": "u", "match": {"value": 1}}
            wanted = {"must": [part]} if indexed else {"should": [part, unknown]}
            assert [point.id for point in world.scroll(filter=wanted).points] == found, (asked, kind)


def test_spellings_of_unicode_are_one(world: pqdb.Collection) -> None:
    texts = [
        "ฉันดื่มน้ำทุกวัน",
        "re\u0301sume\u0301",
        "日本のカ\u3099ラス",
        "한국어",
        "ガラス",
        "カラス",
        "ΆΛΦΑ ёлка",
        "ⅧX",
        "L´eau",
        "you ❤️ rock 1️⃣",
        "☀️",
        "a" + "\u0301" * 300_000,
        "ก" + "\u0e31" * 300_000,
    ]
    world.upsert(range(100, 100 + len(texts)), np.ones((len(texts), 2)), [{"t": text} for text in texts])
    world.create_payload_index("t", "text", tokenizer="multilingual", max_token_len=6)
    for asked, found in (
        ("น้ำ", [100]), ("ดื่ม", [100]), ("résumé", [101]), ("RESUME", [101]), ("re\u0301sume\u0301", [101]),
        ("ガラス", [102, 104]), ("カ\u3099ラス", [102, 104]), ("カラス", [105]), ("한국어", [10, 103]), ("αλφα", [106]),
        ("елка", [106]), ("viiix", [107]),
        ("eau", [108]), ("you rock", [109]), ("rock 1", [109]), ("❤️", []), ("a", [111]),
    ):  # fmt: skip
        assert matching(world, "text", asked) == found, asked


def test_another_tokenizer_makes_another_index(world: pqdb.Collection) -> None:
    assert world.create_payload_index("t", "text")
    assert matching(world, "text", "ecole") == []
    assert world.create_payload_index("t", "text", tokenizer="multilingual")
    assert matching(world, "text", "ecole") == [2]
    assert matching(world, "text", "京天") == [6]
    assert not world.create_payload_index("t", "text", tokenizer="multilingual")
    told = {"key": "t", "kind": "text", "tokenizer": "multilingual"}
    assert world.payload_indexes == [told]
    world.upsert([50], np.ones((1, 2)), [{"t": "École normale"}])
    assert matching(world, "text", "ecole") == [2, 50]
    assert world.verify() == []
    with pytest.raises(pqdb.InputError, match="tokenizer='prefix' is not one of word, multilingual"):
        world.create_payload_index("t", "text", tokenizer="prefix")  # type: ignore[arg-type]
