"""Query parameters of Qdrant's operations."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, Field

_TIMEOUT = "Seconds after which the answer is a timeout; a write goes on and is kept."


class WriteParams(BaseModel):
    """How a write is to be acknowledged. It is durable before any answer, so `wait` only chooses the word."""

    wait: bool = Field(False, description='Answer "completed" (true) or "acknowledged" (false).')
    ordering: Literal["weak", "medium", "strong"] = Field("weak", description="One node: always strong.")
    timeout: int | None = Field(None, ge=1, description=_TIMEOUT)


class ReadParams(BaseModel):
    """How a read is to be consistent. One node: every read sees all acknowledged writes."""

    consistency: Annotated[int, Field(ge=1)] | Literal["majority", "quorum", "all"] | None = None
    timeout: int | None = Field(None, ge=1, description=_TIMEOUT)


class TimeoutParams(BaseModel):
    """How long an operation on a whole collection may take."""

    timeout: int | None = Field(None, ge=1, description=_TIMEOUT)


Write = Annotated[WriteParams, Query()]
Read = Annotated[ReadParams, Query()]
Timeout = Annotated[TimeoutParams, Query()]
Name = Annotated[str, Path(description="The collection.")]
