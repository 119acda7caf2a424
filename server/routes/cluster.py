"""Qdrant's cluster, of which there is none: one node that holds everything, as clients ask to be told."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server.answering import answer, find
from pqdb_server.models.service import ClusterStatus, CollectionCluster
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name

router = APIRouter(tags=["cluster"])


@router.get("/cluster", **documented(ClusterStatus))
async def cluster_status(request: Request) -> Response:
    """Clustering is disabled."""
    return await answer(request, lambda _: {"status": "disabled"})


@router.get("/collections/{collection_name}/cluster", **documented(CollectionCluster))
async def collection_cluster(request: Request, collection_name: Name) -> Response:
    """A collection is one shard, here."""

    def work(database: pqdb.Database) -> object:
        points = find(database, collection_name).count()
        shard = {"shard_id": 0, "points_count": points, "state": "Active"}
        return {"peer_id": 0, "shard_count": 1, "local_shards": [shard], "remote_shards": [], "shard_transfers": []}

    return await answer(request, work)
