"""LangChain's QdrantVectorStore, unmodified, storing and finding documents over a real socket."""

import hashlib
import uuid

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector
from qdrant_client import QdrantClient, models

from .words import weights

pytestmark = pytest.mark.integration

DIM = 64
X16 = models.ProductQuantization(product=models.ProductQuantizationConfig(compression="x16"))
TEXTS = {
    "hashing": "compute the sha256 digest of a file in chunks",
    "sockets": "open a tcp socket and listen for connections",
    "json": "parse a json document into dictionaries and lists",
    "csv": "read rows of a csv file with a header",
}


class WordEmbeddings(Embeddings):
    """Deterministic: every word has a fixed random direction, a text is the sum of its words."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return np.sum([self._direction(word) for word in text.split()], axis=0).tolist()

    @staticmethod
    def _direction(word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return np.random.default_rng(seed).normal(size=DIM)


@pytest.fixture
def url(served) -> str:
    return served


@pytest.fixture
def store(url) -> QdrantVectorStore:
    client = QdrantClient(url=url, timeout=60)
    client.create_collection("docs", models.VectorParams(size=DIM, distance=models.Distance.COSINE))
    return QdrantVectorStore(client, "docs", embedding=WordEmbeddings())


@pytest.fixture
def ids(store) -> dict[str, str]:
    """The documents of TEXTS, stored; name → id."""
    documents = [Document(page_content=text, metadata={"name": name}) for name, text in TEXTS.items()]
    return dict(zip(TEXTS, store.add_documents(documents), strict=True))


def test_documents_are_found_by_meaning(store, ids):
    for name, text in TEXTS.items():
        [found] = store.similarity_search(text, k=1)
        assert found.page_content == text
        assert found.metadata["name"] == name
    [nearest, *others] = store.similarity_search("sha256 digest chunks", k=4)
    assert nearest.metadata["name"] == "hashing"
    assert len(others) == 3


def test_scores_are_cosines_in_order(store, ids):
    embed = WordEmbeddings().embed_query
    query = np.array(embed("parse rows of a document"))
    found = store.similarity_search_with_score("parse rows of a document", k=4)
    expected = {}
    for name, text in TEXTS.items():
        vector = np.array(embed(text))
        expected[name] = query @ vector / np.linalg.norm(query) / np.linalg.norm(vector)
    assert [document.metadata["name"] for document, _ in found] == sorted(
        expected, key=expected.get, reverse=True
    )
    assert {document.metadata["name"]: score for document, score in found} == pytest.approx(
        expected, abs=1e-5
    )


def test_search_by_vector_and_threshold(store, ids):
    vector = WordEmbeddings().embed_query(TEXTS["csv"])
    assert [d.metadata["name"] for d in store.similarity_search_by_vector(vector, k=1)] == ["csv"]
    assert len(store.similarity_search_with_score(TEXTS["csv"], k=4, score_threshold=0.99)) == 1
    page = store.similarity_search(TEXTS["csv"], k=2, offset=1)
    assert "csv" not in [document.metadata["name"] for document in page]


def test_get_by_ids(store, ids):
    found = store.get_by_ids([ids["json"], ids["csv"], str(uuid.uuid4())])
    contents = {document.metadata["_id"]: document.page_content for document in found}
    assert contents == {str(uuid.UUID(ids[name])): TEXTS[name] for name in ("json", "csv")}


def test_delete(store, ids):
    assert store.delete([ids["hashing"]])
    assert store.get_by_ids([ids["hashing"]]) == []
    names = [document.metadata["name"] for document in store.similarity_search(TEXTS["hashing"], k=10)]
    assert sorted(names) == ["csv", "json", "sockets"]


def test_adding_an_id_again_replaces_the_document(store, ids):
    store.add_texts(["wholly other words"], ids=[ids["json"]])
    [found] = store.get_by_ids([ids["json"]])
    assert found.page_content == "wholly other words"
    assert len(store.similarity_search("words", k=10)) == len(TEXTS)


def test_from_texts_makes_the_collection(url):
    store = QdrantVectorStore.from_texts(
        list(TEXTS.values()),
        WordEmbeddings(),
        metadatas=[{"name": name} for name in TEXTS],
        url=url,
        collection_name="fresh",
    )
    assert store.similarity_search("listen on a tcp socket", k=1)[0].metadata["name"] == "sockets"
    again = QdrantVectorStore.from_existing_collection("fresh", WordEmbeddings(), url=url)
    assert len(again.similarity_search("file", k=10)) == len(TEXTS)
    retriever = again.as_retriever(search_kwargs={"k": 2})
    assert len(retriever.invoke("read a csv file")) == 2


def test_from_texts_with_product_quantization_and_many_documents(url):
    names = [f"document {i} about topic {i % 37}" for i in range(300)]
    store = QdrantVectorStore.from_texts(
        names,
        WordEmbeddings(),
        url=url,
        collection_name="many",
        batch_size=64,
        collection_create_options={"quantization_config": X16},
    )
    assert store.client.get_collection("many").config.quantization_config == X16
    assert store.similarity_search(names[123], k=1)[0].page_content == names[123]


def test_wrong_dimension_is_noticed_by_langchain_itself(store):
    class Narrow(WordEmbeddings):
        def embed_query(self, text: str) -> list[float]:
            return super().embed_query(text)[:10]

    with pytest.raises(Exception, match="dimensions"):
        QdrantVectorStore(store.client, "docs", embedding=Narrow())


def test_filters_and_diversity(store, ids):
    only = models.Filter(must=[models.HasIdCondition(has_id=[ids["json"], ids["csv"]])])
    assert len(store.similarity_search("file", k=4, filter=only)) == 2
    by_name = models.Filter(must=[models.FieldCondition(key="metadata.name", match=models.MatchValue(value="csv"))])
    assert [d.metadata["name"] for d in store.similarity_search("file", k=4, filter=by_name)] == ["csv"]
    found = store.max_marginal_relevance_search("sha256 digest of a file", k=3, fetch_k=4)
    assert found[0].metadata["name"] == "hashing"
    assert len({document.metadata["name"] for document in found}) == 3


class WordWeights(SparseEmbeddings):
    """Every word a dimension."""

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        indices, values = weights(text)
        return SparseVector(indices=indices, values=values)


def both_stores(url: str, mode: RetrievalMode, **options) -> list[QdrantVectorStore]:
    """The documents of TEXTS here and in Qdrant's local mode."""
    asked = {"embedding": WordEmbeddings(), "sparse_embedding": WordWeights(), "retrieval_mode": mode, **options}
    ids, metadatas = [str(uuid.UUID(int=i)) for i in range(len(TEXTS))], [{"name": name} for name in TEXTS]
    return [
        QdrantVectorStore.from_texts(list(TEXTS.values()), ids=ids, metadatas=metadatas, **where, **asked)
        for where in ({"url": url}, {"location": ":memory:"})
    ]


def answers(stores: list[QdrantVectorStore], question: str, **options) -> list[str]:
    """What both find, by the names of the documents, with the same scores. No two texts may score the same: their ranks
    would not be said.
    """
    found = [store.similarity_search_with_score(question, **options) for store in stores]
    here, there = ({document.metadata["name"]: score for document, score in each} for each in found)
    assert here == pytest.approx(there, rel=1e-5)
    return list(here)


@pytest.mark.parametrize("idf", [{}, {"sparse_vector_params": {"modifier": models.Modifier.IDF}}], ids=["plain", "idf"])
def test_sparse_retrieval(url, idf):
    stores = both_stores(url, RetrievalMode.SPARSE, collection_name="words", **idf)
    assert answers(stores, "a sha256 digest", k=4)[0] == "hashing"
    assert answers(stores, "sockets and files", k=4)  # "and" is a word like others
    assert answers(stores, "nothing like them", k=4) == []
    only = models.Filter(must=[models.FieldCondition(key="metadata.name", match=models.MatchValue(value="csv"))])
    assert answers(stores, "a file", k=4, filter=only) == ["csv"]


@pytest.mark.parametrize("names", [{}, {"vector_name": "dense", "sparse_vector_name": "words"}], ids=["usual", "named"])
def test_hybrid_retrieval(url, names):
    stores = both_stores(url, RetrievalMode.HYBRID, collection_name="hybrid", **names)
    assert answers(stores, "sha256 digest of file", k=4)[0] == "hashing"
    weighted = models.RrfQuery(rrf=models.Rrf(k=60, weights=[1.0, 3.0]))
    assert answers(stores, "parse rows of a csv file", k=4, hybrid_fusion=weighted)[0] == "csv"
    distributed = models.FusionQuery(fusion=models.Fusion.DBSF)
    assert answers(stores, "parse json document", k=4, hybrid_fusion=distributed)[0] == "json"
    here = stores[0]
    here.add_texts(["listen for sockets, and for sockets again"], [{"name": "more"}])
    assert here.similarity_search("sockets", k=1)[0].metadata["name"] == "more"
    options = {"sparse_embedding": WordWeights(), "retrieval_mode": RetrievalMode.HYBRID, **names}
    again = QdrantVectorStore.from_existing_collection("hybrid", WordEmbeddings(), url=url, **options)
    assert len(again.similarity_search("file", k=10)) == len(TEXTS) + 1
