"""langchain-tests' standard suite of vector stores on langchain-qdrant, over a socket and by the transport.

Qdrant's interface takes unsigned integers and UUIDs as ids, the suite uses words: they become UUIDs on the way in.
"""

from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_tests.integration_tests.vectorstores import EMBEDDING_SIZE, VectorStoreIntegrationTests
from qdrant_client import models

from .test_langchain import WordWeights

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


def to_uuid(word: str) -> str:
    try:
        return str(UUID(word))
    except ValueError:
        return str(uuid5(NAMESPACE_OID, word))


class WordIds(QdrantVectorStore):
    """Any word as an id; the word comes back, and the keys LangChain adds to metadata do not."""

    _words: dict[str, str]

    def add_texts(self, texts: Any, metadatas: Any = None, ids: Any = None, **options: Any) -> list[str]:
        self._words = getattr(self, "_words", {})
        if ids is not None:
            ids = [word or str(uuid4()) for word in ids]
            self._words |= {to_uuid(word): word for word in ids}
            ids = [to_uuid(word) for word in ids]
        added = super().add_texts(texts, metadatas, ids, **options)
        return [self._word(str(id_)) for id_ in added]

    def delete(self, ids: Any = None, **options: Any) -> bool | None:
        return super().delete([to_uuid(word) for word in ids], **options)

    def get_by_ids(self, ids: Any, /) -> list[Document]:
        return [self._plain(found) for found in super().get_by_ids([to_uuid(word) for word in ids])]

    def similarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        return [self._plain(found) for found in super().similarity_search(query, k, **options)]

    def _word(self, id_: str) -> str:
        return getattr(self, "_words", {}).get(to_uuid(id_), to_uuid(id_))

    def _plain(self, found: Document) -> Document:
        metadata = {key: value for key, value in found.metadata.items() if key not in ("_id", "_collection_name")}
        return Document(id=self._word(found.metadata["_id"]), page_content=found.page_content, metadata=metadata)


class TestStandard(VectorStoreIntegrationTests):
    """The suite, as it is published."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def vectorstore(self, client) -> VectorStore:  # type: ignore[override]
        client.create_collection("docs", models.VectorParams(size=EMBEDDING_SIZE, distance=models.Distance.COSINE))
        return WordIds(client, "docs", embedding=self.get_embeddings())


class TestHybrid(TestStandard):
    """The same, by meaning and by words together."""

    @pytest.fixture
    def vectorstore(self, client) -> VectorStore:  # type: ignore[override]
        dense = {"dense": models.VectorParams(size=EMBEDDING_SIZE, distance=models.Distance.COSINE)}
        words = {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}
        client.create_collection("docs", dense, sparse_vectors_config=words)
        modes = {"retrieval_mode": RetrievalMode.HYBRID, "sparse_embedding": WordWeights()}
        return WordIds(
            client, "docs", embedding=self.get_embeddings(), vector_name="dense", sparse_vector_name="words", **modes
        )
