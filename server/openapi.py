"""The OpenAPI page: bodies are read by hand, so their models are added to the schema here."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import models

_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "The request cannot be read, does not fit the collection, or asks for what is not there yet",
    404: "No such collection or point",
    408: "It took longer than the timeout asked for",
    409: "There is one of that name already, or somebody else was there in between",
    422: "A number or a length is out of range",
    429: "Too many requests at once",
    500: "An internal error",
    503: "The database is closing, or another process holds it",
    507: "The disk is full",
}

_bodies: dict[str, type[BaseModel]] = {}


def documented(
    result: Any, body: type[BaseModel] | None = None, *, binary: tuple[str, ...] = (), answers: str | None = None
) -> dict[str, Any]:
    """Arguments of a route's decorator: its result (in the envelope), its errors and its body, described.

    `binary`: media types of a body that is no JSON; `answers`: that of an answer that is none.
    """
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": models.Failure, "description": text} for status, text in _ERRORS.items()
    }
    responses[200] = {"model": models.Success[result]} if answers is None else {"content": {answers: {}}}
    if binary:
        content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in binary}
        return {"responses": responses, "openapi_extra": {"requestBody": {"required": True, "content": content}}}
    if body is None:
        return {"responses": responses}
    _bodies[body.__name__] = body
    schema = {"$ref": _REF.format(model=body.__name__)}
    extra = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    return {"responses": responses, "openapi_extra": extra}


def install(app: FastAPI) -> None:
    """Let the app's schema hold the models of the bodies too."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            page = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _, bodies = models_json_schema([(body, "validation") for body in _bodies.values()], ref_template=_REF)
            page["components"]["schemas"] |= bodies["$defs"]
            app.openapi_schema = page
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
