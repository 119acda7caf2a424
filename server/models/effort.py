"""What a recall takes, and what is reached."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .words import Numbers, Strict


class MeasureRecall(Strict):
    """What to measure recall on: queries, or a sample of the stored points."""

    k: Annotated[int, Field(ge=1, le=10_000)] | None = 10
    queries: Annotated[list[Numbers], Field(min_length=1)] | Literal["logged"] | None = Field(
        None, description='Vectors, or "logged": what was asked lately; a sample of the points if nothing is said.'
    )
    sample: Annotated[int, Field(ge=1)] | None = 200
    recall: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, description="The recall to ask for.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = 0
    using: str | None = Field(None, description="The name of the vector, where vectors have names.")


class Lost(BaseModel):
    """Shares of the true neighbours that were not found, by what lost them."""

    partition: float = Field(description="Their list was not probed.")
    codes: float = Field(description="The scan of their list passed them over.")
    rerank: float = Field(description="Others were put before them.")


class RecallMeasured(BaseModel):
    """Recall, its 95 % interval, and what lost the rest."""

    recall: float
    low: float
    high: float
    k: int
    queries: int
    population: str
    lost: Lost


class Tune(MeasureRecall):
    """A recall to be reached."""

    target: Annotated[float, Field(gt=0, lt=1)]


class Tried(BaseModel):
    """A recall asked for, and what was measured."""

    recall: float
    hnsw_ef: int
    measured: RecallMeasured


class Tuned(Tried):
    """The least recall to ask for that reaches the target, or the most there is."""

    target: float
    reached: bool
    tried: list[Tried]


class Explained(BaseModel):
    """What a search did."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["exact", "codes"]
    lists: int
    n_lists: int
    groups: int
    codes: int
    candidates: int
    reranked: int
    fresh: int
    recall: float | None
    expected: float | None
    microseconds: dict[str, float]
    hits: list[dict[str, Any]]
