"""Collections whose upkeep a test looks into."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.upkeep.stores import Stores
from tests.conftest import SEED
from tests.data import clustered


@dataclass(frozen=True)
class Kept:
    """A collection and the stores behind it."""

    collection: pqdb.Collection
    stores: Stores
    vectors: np.ndarray

    def rows_of_lists(self) -> list[list[int]]:
        """The rows each list of the current generation holds, in their order."""
        from pqdb.quantization.pack import unpack_list
        from pqdb.search.index import Index

        with self.stores.blocks.read() as view:
            index, number = Index.load(view), view.generation
            n_lists = view.n_lists
        out = []
        with self.stores.blocks.write() as batch:
            for list_no in range(n_lists):
                count, codes, _ = batch.read_list(number, list_no)
                rows = (
                    []
                    if codes is None
                    else unpack_list(codes, count, index.codebook.m, index.codebook.nbits, index.router.l2)[3].tolist()
                )
                out.append(rows)
        return out


Keep = Callable[..., Kept]


@pytest.fixture
def keep(db: pqdb.Database) -> Keep:
    """keep(n, dim, **options) -> Kept with n points, not trained."""

    def made(n: int, dim: int = 12, name: str = "things", seed: int = SEED, **options: Any) -> Kept:
        vectors = clustered(n, dim, seed=seed)
        collection = db.create_collection(name, dim, **options)
        if n:
            collection.upsert(np.arange(n), vectors)
        return Kept(collection, Stores(collection.config, *(collection._points, collection._blocks)), vectors)

    return made
