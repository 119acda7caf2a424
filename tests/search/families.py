"""Build and search small collections, and print what was found: run by each kernel family in a process of its own."""

import json
import sys
from typing import Any

import numpy as np

import pqdb
from tests.data import clustered, queries_near

KINDS: list[dict[str, Any]] = [
    {"metric": "cosine"},
    {"metric": "l2", "quantization": pqdb.PQ(bits_per_dim=2)},
    {"metric": "dot", "quantization": pqdb.PQ(m=5, nbits=8), "rerank": "source"},
    {"metric": "l2", "source": None, "rerank": "int8"},
    {"metric": "cosine", "quantization": pqdb.SQ("int4")},
    {"metric": "l2", "quantization": pqdb.SQ("1bit"), "rerank": "float16"},
    {"metric": "dot", "quantization": pqdb.SQ("int8")},
    {"metric": "cosine", "quantization": pqdb.SQ("float16"), "source": "float16"},
]


def found() -> list[dict[str, Any]]:
    """Ids and scores of each kind of collection, single and by batch."""
    out = []
    rows, queries = clustered(700, 20, seed=8), queries_near(clustered(700, 20, seed=8), 6, seed=9)
    with pqdb.open(upkeep="manual") as database:
        for number, kind in enumerate(KINDS):
            things = database.create_collection(f"c{number}", 20, **kind)
            things.upsert(np.arange(700), rows)
            things.train()
            batch = things.search(queries, 10, nprobe=100, rerank=700)
            alone = [things.search(query, 10, nprobe=100, rerank=700).ids for query in queries]
            out.append({"ids": batch.ids.tolist(), "alone": alone, "scores": batch.scores.tolist()})
    return out


if __name__ == "__main__":
    json.dump(found(), sys.stdout)
