"""What results and errors come in."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field

T = TypeVar("T")


class Success(BaseModel, Generic[T]):
    """The envelope of a result."""

    result: T
    status: Literal["ok"]
    time: float = Field(description="Seconds spent on it.")


class Accepted(BaseModel):
    """The envelope of what has begun."""

    status: Literal["accepted"]
    time: float


class ErrorText(BaseModel):
    """What went wrong, as a sentence."""

    error: str


class Failure(BaseModel):
    """The envelope of an error."""

    status: ErrorText
    time: float
