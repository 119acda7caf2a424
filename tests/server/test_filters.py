"""Filters, payloads and indexes over HTTP: the engine decides, the service unpacks. By the official client."""

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from .conftest import failed

DOCS = "docs"
POINTS = "/collections/docs/points"
N = 40


def match(key: str, value: object) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


EN = models.Filter(must=[match("lang", "en")])
LATE = models.FieldCondition(key="n", range=models.Range(gte=30))
FIRST = models.Filter(must=[models.FieldCondition(key="page", range=models.Range(lt=10))])


@pytest.fixture
def client(http, database) -> QdrantClient:
    """40 points: page 0 … 39, lang en for the even ones and de for the odd, a list of tags, nested objects."""
    client = QdrantClient(url="http://embedded", transport=http.client._transport, check_compatibility=False)
    client.create_collection(DOCS, models.VectorParams(size=4, distance=models.Distance.DOT))
    client.upsert(
        DOCS,
        [
            models.PointStruct(
                id=i,
                vector=[i, 1, 0, 0],
                payload={
                    "page": i,
                    "lang": "de" if i % 2 else "en",
                    "tags": [f"t{i % 3}", "all"],
                    "chapters": [{"n": i, "good": i % 2 == 0}],
                },
            )
            for i in range(N)
        ],
    )
    return client


def ids(points) -> list[int]:
    return [point.id for point in points]


@pytest.mark.parametrize(
    ("filter_", "passes"),
    [
        (EN, lambda i: i % 2 == 0),
        (models.Filter(must_not=[match("lang", "en")]), lambda i: i % 2),
        (models.Filter(should=[match("page", 3), match("tags", "t1")]), lambda i: i == 3 or i % 3 == 1),
        (models.Filter(must=[match("lang", "en")], should=[]), lambda i: i % 2 == 0),
        (FIRST, lambda i: i < 10),
        (models.Filter(must=[models.HasIdCondition(has_id=[3, 5, 999])]), lambda i: i in (3, 5)),
        (
            models.Filter(
                min_should=models.MinShould(conditions=[match("lang", "en"), match("tags", "t0")], min_count=2)
            ),
            lambda i: i % 2 == 0 and i % 3 == 0,
        ),
        (
            models.Filter(
                must=[
                    models.NestedCondition(
                        nested=models.Nested(
                            key="chapters",
                            filter=models.Filter(must=[match("good", True), LATE]),
                        )
                    )
                ]
            ),
            lambda i: i >= 30 and i % 2 == 0,
        ),
        (models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="none"))]), lambda i: True),
    ],
)  # fmt: skip
def test_every_reading_verb_takes_a_filter(client, filter_, passes):
    expected = [i for i in range(N) if passes(i)]
    assert client.count(DOCS, count_filter=filter_).count == len(expected)
    assert ids(client.scroll(DOCS, scroll_filter=filter_, limit=N)[0]) == expected
    found = client.query_points(DOCS, query=[1.0, 0, 0, 0], query_filter=filter_, limit=N).points
    assert ids(found) == expected[::-1]
    assert ids(client.query_points(DOCS, query_filter=filter_, limit=5, offset=1).points) == expected[1:6]
    request = models.QueryRequest(query=[1.0, 0, 0, 0], filter=filter_, limit=3)
    assert [ids(answer.points) for answer in client.query_batch_points(DOCS, [request] * 2)] == [expected[::-1][:3]] * 2


def test_pages_of_a_filtered_scroll_follow_each_other(client):
    seen, offset = [], None
    while True:
        page, offset = client.scroll(DOCS, scroll_filter=EN, limit=7, offset=offset)
        seen += ids(page)
        if offset is None:
            break
    assert seen == list(range(0, N, 2))


def test_query_by_id_leaves_its_point_out(client):
    assert ids(client.query_points(DOCS, query=38, query_filter=EN, limit=2).points) == [36, 34]


def test_delete_by_filter(client):
    client.delete(DOCS, models.FilterSelector(filter=EN))
    assert client.count(DOCS).count == N // 2
    client.delete(DOCS, models.Filter(must=[match("page", 1)]))
    assert client.count(DOCS).count == N // 2 - 1


def payload(client, id_: int) -> dict:
    return client.retrieve(DOCS, [id_])[0].payload


def test_payloads_are_changed_by_ids_and_by_filter(client):
    client.set_payload(DOCS, {"seen": True}, points=[1, 2])
    client.set_payload(DOCS, {"deep": 1}, points=FIRST, key="at.place")
    assert payload(client, 1)["seen"] is True
    assert payload(client, 1)["at"] == {"place": {"deep": 1}}
    assert "at" not in payload(client, 10)
    client.overwrite_payload(DOCS, {"new": 1}, points=[3])
    assert payload(client, 3) == {"new": 1}
    client.delete_payload(DOCS, ["lang", "chapters[].n"], points=models.Filter(must=[match("page", 4)]))
    assert "lang" not in payload(client, 4)
    assert payload(client, 4)["chapters"] == [{"good": True}]
    client.clear_payload(DOCS, [5])
    assert payload(client, 5) == {}
    client.batch_update_points(
        DOCS,
        [
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"b": 1}, points=[6])),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"c": 2}, points=[7])),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["lang"], points=[6])),
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[8])),
            models.DeleteOperation(delete=models.FilterSelector(filter=models.Filter(must=[match("page", 9)]))),
        ],
    )
    assert (payload(client, 6)["b"], "lang" in payload(client, 6)) == (1, False)
    assert (payload(client, 7), payload(client, 8), client.retrieve(DOCS, [9])) == ({"c": 2}, {}, [])


@pytest.mark.parametrize("kind", ["keyword", "integer", "float", "bool", "geo", "text", "datetime", "uuid"])
def test_indexes_of_every_kind_are_made_told_and_dropped(client, kind):
    client.create_payload_index(DOCS, "some.key[]", kind)
    client.create_payload_index(DOCS, "some.key[]", kind)  # again is no error
    assert client.get_collection(DOCS).payload_schema["some.key[]"].data_type == kind
    client.delete_payload_index(DOCS, "some.key[]")
    client.delete_payload_index(DOCS, "some.key[]")
    assert client.get_collection(DOCS).payload_schema == {}


def test_parameters_of_indexes_come_back_as_sent(client, database):
    params = models.KeywordIndexParams(type="keyword", is_tenant=True, on_disk=False)
    client.create_payload_index(DOCS, "lang", params)
    held = client.get_collection(DOCS).payload_schema["lang"]
    assert (held.data_type, held.params) == ("keyword", params)
    assert database[DOCS].info()["payload_indexes"] == [{"key": "lang", "kind": "keyword", "is_tenant": True}]
    client.create_payload_index(DOCS, "lang", models.TextIndexParams(type="text", tokenizer="word", lowercase=True))
    assert client.get_collection(DOCS).payload_schema["lang"].data_type == "text"


def test_an_index_stays_where_the_one_to_replace_it_is_refused(client):
    client.create_payload_index(DOCS, "lang", "keyword")
    with pytest.raises(UnexpectedResponse, match="no word has 9 characters at least and 2 at most"):
        client.create_payload_index(DOCS, "lang", models.TextIndexParams(type="text", min_token_len=9, max_token_len=2))
    assert client.get_collection(DOCS).payload_schema["lang"].data_type == "keyword"
    client.create_payload_index(DOCS, "lang", "text")
    assert client.get_collection(DOCS).payload_schema["lang"].data_type == "text"


def test_words_too_short_to_count(client):
    params = models.TextIndexParams(
        type="text", tokenizer=models.TokenizerType.WORD, min_token_len=2, max_token_len=15, lowercase=True
    )
    points = [models.PointStruct(id=n, vector=[1.0], payload={"t": t}) for n, t in enumerate(["good book", "a film"])]
    client.create_collection("texts", models.VectorParams(size=1, distance=models.Distance.DOT))
    client.upsert("texts", points)
    wanted = models.Filter(must=[models.FieldCondition(key="t", match=models.MatchText(text="a good"))])
    assert client.count("texts", wanted).count == 0
    client.create_payload_index("texts", "t", params)
    assert client.count("texts", wanted).count == 1
    assert client.get_collection("texts").payload_schema["t"].params == params
    params = models.TextIndexParams(
        type="text", tokenizer=models.TokenizerType.MULTILINGUAL, min_token_len=2, max_token_len=20, lowercase=True
    )
    client.create_payload_index("texts", "t", params)  # as Dify makes it
    assert client.count("texts", wanted).count == 1
    assert client.get_collection("texts").payload_schema["t"].params == params


def test_order_by_a_point_in_time(client):
    """The client takes numbers only: microseconds since 1970, in which it may also say where to begin."""
    points = [models.PointStruct(id=n, vector=[1.0], payload={"at": f"2024-03-0{n}T00:00:00Z"}) for n in (1, 2, 3)]
    client.create_collection("times", models.VectorParams(size=1, distance=models.Distance.DOT))
    client.upsert("times", points)
    client.create_payload_index("times", "at", "datetime")
    first, day = 1_709_251_200_000_000, 86_400_000_000
    page, _ = client.scroll("times", order_by="at")
    assert [(each.id, each.order_value) for each in page] == [(n, first + day * (n - 1)) for n in (1, 2, 3)]
    for start in (first + day, "2024-03-02T00:00:00Z"):
        order = models.OrderByQuery(order_by=models.OrderBy(key="at", direction="desc", start_from=start))
        found = client.query_points("times", query=order).points
        assert [(each.id, each.order_value) for each in found] == [(2, first + day), (1, first)]


def test_facets(client):
    with pytest.raises(UnexpectedResponse, match="No map index for `facet`"):
        client.facet(DOCS, "tags")
    client.create_payload_index(DOCS, "tags", "keyword")
    hits = client.facet(DOCS, "tags", limit=2).hits
    assert [(hit.value, hit.count) for hit in hits] == [("all", N), ("t0", 14)]
    assert client.facet(DOCS, "tags", facet_filter=FIRST, limit=1).hits[0].count == 10


def test_order_by_a_key(client):
    with pytest.raises(UnexpectedResponse, match="No range index for `order_by`"):
        client.scroll(DOCS, order_by="page")
    client.create_payload_index(DOCS, "page", "integer")
    page, offset = client.scroll(DOCS, order_by=models.OrderBy(key="page", direction="desc"), limit=3, scroll_filter=EN)
    assert (ids(page), offset) == ([38, 36, 34], None)
    assert [record.order_value for record in page] == [38, 36, 34]
    order = models.OrderByQuery(order_by=models.OrderBy(key="page", start_from=30))
    found = client.query_points(DOCS, query=order, limit=2, offset=1).points
    assert [(point.id, point.score) for point in found] == [(31, 1), (32, 1)]


def test_sample(client):
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    found = ids(client.query_points(DOCS, query=sample, query_filter=EN, limit=30).points)
    assert sorted(found) == list(range(0, N, 2))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (None, "missing field `field_schema`"),
        ("words", "unknown variant `words`"),
        (7, "expected a kind or an object"),
        ({}, "field_schema: missing field `type`"),
        ({"type": "keyword", "tokenizer": "word"}, "unknown field `tokenizer`"),
        ({"type": "text", "tokenizer": "prefix"}, "text indexes with `tokenizer` 'prefix'"),
        ({"type": "float", "is_tenant": True}, "is_tenant is for an index of kind keyword or integer or uuid"),
        ({"type": "keyword", "is_tenant": 1}, "field_schema.is_tenant: invalid type"),
        ({"type": "text", "stemmer": {"type": "snowball"}}, "text indexes with `stemmer`"),
        ({"type": "text", "min_token_len": "2"}, "field_schema.min_token_len: invalid type or value"),
        ({"type": "text", "min_token_len": 3, "max_token_len": 2}, "no word has 3 characters at least and 2 at most"),
        ({"type": "keyword", "min_token_len": 2}, "unknown field `min_token_len`"),
    ],
)
def test_schemas_that_are_not_offered(unchanged, schema, words):
    body = {"field_name": "lang", "field_schema": schema}
    status, text = unchanged.error("PUT", "/collections/docs/index", body)
    assert (status, words in text) == (400, True), text


@pytest.mark.parametrize(
    "filter_",
    [
        {"must": [{"key": "a"}]},
        {"must": [{"key": "a", "match": {"values": 1}}]},
        {"must": [{"key": "a..b", "match": {"value": 1}}]},
        {"must": [{"anything": {}}]},
        {"maybe": []},
        {"must": [{"has_id": ["no id" * 100]}]},
        {"min_should": {"conditions": [], "min_count": "1"}},
    ],
)
@pytest.mark.parametrize("path", ["scroll", "count", "query", "delete"])
def test_malformed_filters_are_refused_everywhere(unchanged, path, filter_):
    status, answer = unchanged("POST", f"{POINTS}/{path}", {"filter": filter_})
    assert failed(status, answer)[0] == 400
    assert unchanged.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


@pytest.mark.parametrize(
    ("filter_", "words"),
    [
        ({"min_should": {"conditions": [], "min_count": 0}}, "filter.min_should.min_count is a whole number"),
        ({"must": {"key": "at", "geo_polygon": {"exterior": {"points": [{"lat": 0, "lon": 0}] * 3}}}}, "at least 4"),
        ({"must": {"key": "at", "geo_polygon": {"exterior": {"points": [{"lat": 0, "lon": i} for i in range(4)]}}}},
         "filter.must.geo_polygon.exterior"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["scroll", "count", "query", "delete"])
def test_lengths_and_numbers_out_of_range_are_422(unchanged, path, filter_, words):
    status, text = unchanged.error("POST", f"{POINTS}/{path}", {"filter": filter_})
    assert (status, text.startswith("Validation error in JSON body: ["), words in text) == (422, True, True), text


def test_a_filter_as_deep_as_the_sea_is_refused(unchanged):
    for levels in (51, 400, 100_000):
        body = b'{"filter": ' + b'{"must": [' * levels + b"{}" + b"]}" * levels + b"}"
        assert failed(*unchanged.raw("POST", f"{POINTS}/count", body))[0] == 400


def test_a_bad_change_later_in_a_batch_lets_none_happen(docs):
    operations = [{"delete": {"points": [1]}}, {"delete": {"filter": {"must": [{"key": "a"}]}}}]
    assert docs.error("POST", f"{POINTS}/batch", {"operations": operations})[0] == 400
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


def test_an_empty_list_of_ids_changes_nothing(docs):
    docs.ok("POST", f"{POINTS}/payload/clear", {"points": []})
    docs.ok("POST", f"{POINTS}/payload", {"points": [], "payload": {"a": 1}})
    docs.ok("POST", f"{POINTS}/delete", {"points": []})
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 3}
    assert docs.ok("GET", f"{POINTS}/1")["payload"]["lang"] == "en"


def test_explain_tells_of_the_filter(docs):
    body = {"query": [1, 0, 0, 0], "filter": {"must": [{"key": "lang", "match": {"value": "en"}}]}}
    told = docs.ok("POST", "/pqdb/v1/collections/docs/explain", body)
    assert told["filter"]["matches"] == 1
    assert [hit["id"] for hit in told["hits"]] == [1]
