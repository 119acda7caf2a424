"""What bodies and results of all kinds are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[int, Field(ge=0, lt=2**64)] | UUID
Numbers = Annotated[list[float], Field(min_length=1)]
Payload = dict[str, Any]
Limit = Annotated[int, Field(ge=1)]
Offset = Annotated[int, Field(ge=0)]
VectorSelector = bool | list[str]


class Strict(BaseModel):
    """A body; keys that are not listed are refused."""

    model_config = ConfigDict(extra="forbid")


class SparseVector(Strict):
    """Numbers at some dimensions, in any order; at all others there is 0."""

    indices: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(description="None twice.")
    values: list[float] = Field(description="As many as there are indices.")


Vector = Numbers | dict[Literal[""], Numbers] | SparseVector
Vectors = (
    Numbers
    | Annotated[dict[str, Numbers | SparseVector], Field(description="By their names; {} is a point without any.")]
)
Filter = Annotated[dict[Literal["must", "should", "must_not", "min_should"], Any], Field(description="See the docs.")]


class PayloadInclude(Strict):
    """Paths of the payload to keep."""

    include: list[str]


class PayloadExclude(Strict):
    """Paths of the payload to leave out."""

    exclude: list[str]


PayloadSelector = bool | list[str] | PayloadInclude | PayloadExclude
