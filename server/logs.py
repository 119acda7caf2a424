"""What the service writes to its log: lines for people or JSON objects, each with its request's id."""

from __future__ import annotations

import json
import logging
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime

from .settings import Settings

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_TRACE = 5
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "request_id"}


class AddRequestId(logging.Filter):
    """Gives every record the id of the request it is about, or None."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = request_id.get()
        return True


class TextLines(logging.Formatter):
    """`time LEVEL logger [request] message {details}`."""

    def format(self, record: logging.LogRecord) -> str:
        details = _details(record)
        told = f" {json.dumps(details, default=str, ensure_ascii=False)}" if details else ""
        asked = getattr(record, "request_id", None)
        about = f" [{asked}]" if asked else ""
        line = f"{_time(record)} {record.levelname} {record.name}{about} {record.getMessage()}{told}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line; details of a message are keys of their own."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_details(record),
        }
        if asked := getattr(record, "request_id", None):
            line["request_id"] = asked
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up(settings: Settings) -> None:
    """Send what the service, the engine and uvicorn have to say to standard error, in the form chosen."""
    level = _TRACE if settings.log_level == "trace" else logging.getLevelName(settings.log_level.upper())
    lines = JsonLines if settings.log_format == "json" else TextLines
    logging.addLevelName(_TRACE, "TRACE")
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": AddRequestId}},
        "formatters": {"lines": {"()": lines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["request"]}},
        "loggers": {
            **{name: {"handlers": ["stderr"], "level": level, "propagate": False} for name in ("pqdb", "uvicorn")},
            "uvicorn.access": {"handlers": [], "propagate": False},  # its lines name queries, and keys in them
        },
    })  # fmt: skip


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _details(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}
