"""LlamaIndex's QdrantVectorStore, unmodified: written, queried, filtered and cleared, over a socket and in process."""

import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from tests.data import clustered

from .words import weights

pytestmark = pytest.mark.integration
DIM, N = 32, 60


@pytest.fixture
def vectors() -> list[list[float]]:
    return clustered(N, DIM, seed=3).tolist()


@pytest.fixture
def nodes(vectors) -> list[TextNode]:
    """Nodes of six documents of ten pages each."""
    return [
        TextNode(
            id_=f"00000000-0000-4000-8000-{i:012d}",
            text=f"text {i}",
            metadata={"page": i, "lang": "de" if i % 2 else "en", "tags": ["odd" if i % 2 else "even", "all"]},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{i // 10}")},
            embedding=vector,
        )
        for i, vector in enumerate(vectors)
    ]


@pytest.fixture
def store(connect, nodes) -> QdrantVectorStore:
    store = QdrantVectorStore("pages", client=connect())
    store.add(nodes)
    return store


def ask(store, vector, filters=None, k=5, **options) -> list[str]:
    query = VectorStoreQuery(query_embedding=vector, similarity_top_k=k, filters=filters, **options)
    return [node.get_content() for node in store.query(query).nodes]


def where(key: str, operator: FilterOperator, value: object) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])


def test_nodes_are_found_with_their_metadata_and_source(store, vectors):
    found = store.query(VectorStoreQuery(query_embedding=vectors[7], similarity_top_k=3))
    assert found.nodes[0].get_content() == "text 7"
    assert found.nodes[0].metadata["page"] == 7
    assert found.nodes[0].ref_doc_id == "document-0"
    assert found.similarities[0] == pytest.approx(1, abs=1e-5)
    assert found.similarities == sorted(found.similarities, reverse=True)


@pytest.mark.parametrize(
    ("operator", "key", "value", "passes"),
    [
        (FilterOperator.EQ, "lang", "de", lambda i: i % 2),
        (FilterOperator.NE, "lang", "de", lambda i: i % 2 == 0),
        (FilterOperator.GT, "page", 50, lambda i: i > 50),
        (FilterOperator.GTE, "page", 50, lambda i: i >= 50),
        (FilterOperator.LT, "page", 3, lambda i: i < 3),
        (FilterOperator.LTE, "page", 3, lambda i: i <= 3),
        (FilterOperator.IN, "page", [1, 2, 99], lambda i: i in (1, 2)),
        (FilterOperator.NIN, "lang", ["de"], lambda i: i % 2 == 0),
        (FilterOperator.EQ, "tags", "odd", lambda i: i % 2),
        (FilterOperator.IS_EMPTY, "none", None, lambda i: True),
    ],
)
def test_metadata_filters(store, vectors, operator, key, value, passes):
    found = ask(store, vectors[0], where(key, operator, value), k=N)
    assert sorted(found) == sorted(f"text {i}" for i in range(N) if passes(i))


def test_filters_within_filters(store, vectors):
    either = MetadataFilters(
        condition=FilterCondition.OR,
        filters=[
            MetadataFilter(key="page", operator=FilterOperator.EQ, value=3),
            MetadataFilters(
                condition=FilterCondition.AND,
                filters=[
                    MetadataFilter(key="lang", operator=FilterOperator.EQ, value="en"),
                    MetadataFilter(key="page", operator=FilterOperator.GTE, value=56),
                ],
            ),
        ],
    )
    assert sorted(ask(store, vectors[0], either, k=N)) == ["text 3", "text 56", "text 58"]


def test_nodes_by_id_and_by_filter(store, nodes):
    assert [node.get_content() for node in store.get_nodes([nodes[4].node_id])] == ["text 4"]
    assert len(store.get_nodes(filters=where("lang", FilterOperator.EQ, "de"))) == N // 2


def test_delete_of_a_document_takes_its_nodes(store, vectors):
    store.delete("document-2")
    left = ask(store, vectors[25], k=N)
    assert len(left) == N - 10
    assert not {f"text {i}" for i in range(20, 30)} & set(left)


def test_delete_of_nodes_by_id_and_by_filter(store, nodes, vectors):
    store.delete_nodes([nodes[1].node_id, nodes[2].node_id])
    store.delete_nodes(filters=where("lang", FilterOperator.EQ, "de"))
    assert len(ask(store, vectors[0], k=N)) == N // 2 - 1


def test_adding_again_replaces(store, nodes, vectors):
    nodes[5].text = "another text"
    store.add(nodes[5:6])
    assert ask(store, vectors[5], k=1) == ["another text"]


def test_mmr(store, vectors):
    found = ask(store, vectors[0], k=5, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.5)
    assert len(set(found)) == 5


def encoded(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
    """Sparse vectors as LlamaIndex takes them from a function."""
    pairs = [weights(text) for text in texts]
    return [indices for indices, _ in pairs], [values for _, values in pairs]


@pytest.fixture
def hybrid(connect, nodes) -> list[QdrantVectorStore]:
    """The nodes here and in Qdrant's local mode, found by meaning, by words, or by both."""
    stores = []
    for client in (connect(), QdrantClient(":memory:")):
        functions = {"sparse_doc_fn": encoded, "sparse_query_fn": encoded}
        stores.append(QdrantVectorStore("pages", client=client, enable_hybrid=True, **functions))
        stores[-1].add(nodes)
    return stores


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
@pytest.mark.parametrize("mode", [VectorStoreQueryMode(mode) for mode in ("sparse", "hybrid", "default")])
@pytest.mark.parametrize("filters", [None, where("lang", FilterOperator.EQ, "de")], ids=["all", "filtered"])
def test_hybrid(hybrid, vectors, mode, filters):
    query = VectorStoreQuery(
        query_embedding=vectors[7], query_str="page: 31, text 31", similarity_top_k=N, filters=filters, mode=mode
    )
    here, there = ({n.get_content(): s for n, s in zip(r.nodes, r.similarities, strict=True)}
                   for r in (store.query(query) for store in hybrid))  # fmt: skip
    assert here == pytest.approx(there, rel=1e-4, abs=1e-6)
    assert len(here) == (N if filters is None else N // 2)
    assert ("text 31" if mode == VectorStoreQueryMode.SPARSE else "text 7") in list(here)[:2]


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
def test_hybrid_nodes_are_deleted_and_replaced(hybrid, nodes, vectors):
    store = hybrid[0]
    store.delete("document-3")
    nodes[5].text = "a word of its own: unheard"
    store.add(nodes[5:6])
    words = {"mode": VectorStoreQueryMode.SPARSE, "query_str": "unheard 31"}
    assert ask(store, vectors[0], **words) == ["a word of its own: unheard"]


def test_clear(store):
    store.clear()
    assert not store._client.collection_exists("pages")


@pytest.mark.anyio
async def test_async(async_client, connect, nodes, vectors):
    if connect.url == "http://embedded":
        pytest.skip("the asynchronous client is for sockets")
    store = QdrantVectorStore("pages", client=connect(), aclient=async_client)
    await store.async_add(nodes)
    query = VectorStoreQuery(query_embedding=vectors[7], similarity_top_k=1)
    assert (await store.aquery(query)).nodes[0].get_content() == "text 7"
    await store.adelete("document-0")
    assert (await store.aquery(query)).nodes[0].get_content() != "text 7"


@pytest.mark.anyio
async def test_hybrid_async(async_client, connect, nodes, vectors):
    if connect.url == "http://embedded":
        pytest.skip("the asynchronous client is for sockets")
    functions = {"sparse_doc_fn": encoded, "sparse_query_fn": encoded}
    store = QdrantVectorStore("pages", client=connect(), aclient=async_client, enable_hybrid=True, **functions)
    await store.async_add(nodes)
    query = VectorStoreQuery(query_embedding=vectors[7], query_str="31", similarity_top_k=3)
    query.mode = VectorStoreQueryMode.SPARSE
    assert [node.get_content() for node in (await store.aquery(query)).nodes] == ["text 31"]
    query.mode = VectorStoreQueryMode.HYBRID
    found = [node.get_content() for node in (await store.aquery(query)).nodes]
    assert {"text 7", "text 31"} <= set(found)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
