"""Vectors from what the lists hold: with source=None residuals kept value by value are all there is of them."""

from dataclasses import dataclass

import numpy as np

from pqdb.config import CollectionConfig
from pqdb.quantization.pack import residuals_of, rows_of_list, rows_of_values
from pqdb.search.index import Index
from pqdb.store.blocklayout import CODES, RERANK
from pqdb.store.blocks import BlockStore
from pqdb.store.blockview import BlockView
from pqdb.upkeep.lists import NOWHERE, rows_by_list


def can_decode(config: CollectionConfig) -> bool:
    """Whether lists alone give vectors worth coding anew: values do, codes of a few bits a dimension do not."""
    return config.kept_values is not None


def kept_residuals(view: BlockView, number: int, config: CollectionConfig, positions: np.ndarray) -> np.ndarray:
    """(n, dim) float32: what a list keeps of the residuals at these positions (n,)."""
    form = config.kept_values
    assert form is not None
    data = view.data(number, CODES if config.reranked_values is None else RERANK)
    rows = rows_of_values(data, int(view.counts[number]), config.dim, form)
    return residuals_of(rows[positions], config.dim, form)


def decoded_list(
    view: BlockView, index: Index, number: int, config: CollectionConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n,) uint32 of a list, dead ones too, and their vectors (n, dim) float32 in index space."""
    count = int(view.counts[number])
    rows = rows_of_list(view.data(number), count)
    vectors: np.ndarray = kept_residuals(view, number, config, np.arange(count)) + index.router.centroids[number]
    return rows.copy(), vectors


@dataclass(frozen=True)
class Decoded:
    """Where each row lies in the lists of one generation, and so what is known of its vector."""

    index: Index
    config: CollectionConfig
    lists: np.ndarray  # (n_rows,) int32, NOWHERE for rows in no list
    places: np.ndarray  # (n_rows,) int32

    @classmethod
    def of(cls, view: BlockView, index: Index, config: CollectionConfig) -> "Decoded":
        """Of the generation that a view sees."""
        lists = np.full(view.watermark, NOWHERE, np.int32)
        places = np.zeros(view.watermark, np.int32)
        for number, rows in rows_by_list(view):
            lists[rows], places[rows] = number, np.arange(len(rows))
        return cls(index, config, lists, places)

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """(n,) bool: which of these rows are in a list."""
        inside = rows < len(self.lists)
        inside[inside] = self.lists[rows[inside]] != NOWHERE
        return inside

    def vectors(self, blocks: BlockStore, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 of rows in lists, as metric.prepare leaves them but for their rounding."""
        out = np.empty((len(rows), self.index.codebook.dim), np.float32)
        lists = self.lists[rows]
        order = np.argsort(lists, kind="stable")
        with blocks.read() as view:
            view.look_at(self.index.generation, len(self.lists))
            for positions in np.split(order, np.flatnonzero(np.diff(lists[order])) + 1):
                if len(positions):
                    number = int(lists[positions[0]])
                    residuals = kept_residuals(view, number, self.config, self.places[rows[positions]])
                    out[positions] = residuals + self.index.router.centroids[number]
        router = self.index.router
        if router.l2 or router.unit != 1:
            out = out * np.float32(router.unit) + router.mean
        if self.config.metric == "cosine":
            lengths = np.sqrt(np.einsum("nd,nd->n", out, out))
            out /= np.where(lengths == 0, 1, lengths)[:, None]
        return out
