"""A picture of a collection's points."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from .words import Id


class MapPoint(BaseModel):
    """A point's place on the plane."""

    id: Id
    x: Annotated[float, Field(ge=0, le=1)]
    y: Annotated[float, Field(ge=0, le=1)]
    list: int = Field(description="Its list; −1 before there are lists.")


class PointMap(BaseModel):
    """Points on a plane."""

    points: list[MapPoint]
