"""A collection's state, and work on it that takes a while."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class JobStarted(BaseModel):
    """A job has begun."""

    job: str = Field(description="Its id, for GET /pqdb/v1/jobs/{job_id}.")


class JobInfo(BaseModel):
    """How far a job has come."""

    id: str
    kind: str
    collection: str = Field(description="Empty for the whole database.")
    status: Literal["running", "done", "failed"]
    started: float = Field(description="Seconds since 1970.")
    finished: float | None
    stage: str | None
    share: float | None = Field(description="How much of the stage is done, 0 to 1.")
    result: Any
    error: str | None


class Stats(BaseModel):
    """A collection in numbers."""

    model_config = ConfigDict(extra="allow")

    name: str
    points: int
    indexed: int
    fresh: int
    generation: int
    bytes: dict[str, int]
    upkeep: dict[str, Any]
    measured_recall: dict[str, Any] | None


class RolledBack(BaseModel):
    """The generation that is searched now."""

    generation: int
