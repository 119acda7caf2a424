"""The OpenAPI page: bodies are read by hand, so their models are added to the schema here."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .keys import OPEN, Need
from .models.envelopes import Accepted, Failure, Success

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

_NO_KEY = "No API key, or one that is not known; only where the service has keys"
_FORBIDDEN = "The API key does not open this, or the database is served read-only"
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ENVELOPE = {"application/json": {"schema": {"$ref": _REF.format(model="Failure")}}}
_SCHEMES = {
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}

BODIES: dict[str, type[BaseModel]] = {}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Some errors in the envelope, or all of them, as a route's decorator takes them."""
    return {
        status: {"model": Failure, "description": text}
        for status, text in _ERRORS.items()
        if not statuses or status in statuses
    }


def documented(
    result: Any,
    body: type[BaseModel] | None = None,
    *,
    binary: tuple[str, ...] = (),
    form: str | None = None,
    answers: str | None = None,
    accepts: bool = False,
) -> dict[str, Any]:
    """Arguments of a route's decorator: its result (in the envelope), its errors and its body, described.

    `binary`: media types of a body that is no JSON; `form`: the name of the file in one that is a form; `answers`: the
    media type of an answer that is no JSON; `accepts`: whether nobody need wait for it.
    """
    responses = errors()
    responses[200] = {"model": Success[result]} if answers is None else {"content": {answers: {}}}
    if accepts:
        responses[202] = {"model": Accepted, "description": "It has begun, and `wait` was false"}
    if form is not None:
        file = {"type": "object", "properties": {form: {"type": "string", "format": "binary"}}, "required": [form]}
        content = {"multipart/form-data": {"schema": file}}
        return {"responses": responses, "openapi_extra": {"requestBody": {"required": True, "content": content}}}
    if binary:
        content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in binary}
        return {"responses": responses, "openapi_extra": {"requestBody": {"required": True, "content": content}}}
    if body is None:
        return {"responses": responses}
    BODIES[body.__name__] = body
    schema = {"$ref": _REF.format(model=body.__name__)}
    extra = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    return {"responses": responses, "openapi_extra": extra}


def install(app: FastAPI) -> None:
    """Let the app's schema hold the models of the bodies too."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            page = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _, bodies = models_json_schema([(body, "validation") for body in BODIES.values()], ref_template=_REF)
            page["components"]["schemas"] |= bodies["$defs"]
            _describe_keys(page)
            app.openapi_schema = page
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def _describe_keys(page: dict[str, Any]) -> None:
    """Add what the door answers before a route is asked, and the keys that open it."""
    page["components"]["securitySchemes"] = _SCHEMES
    for path, item in page["paths"].items():
        for method, operation in item.items():
            if path in OPEN:
                continue
            operation["security"] = [{}, *({name: []} for name in _SCHEMES)]  # {}: a service may have no keys
            operation["responses"]["401"] = {"description": _NO_KEY, "content": _TEXT}
            need = Need.of(method.upper(), path)
            if need.write or need.manage or need.collection is not None:
                operation["responses"]["403"] = {"description": _FORBIDDEN, "content": {**_TEXT, **_ENVELOPE}}
