"""Libraries that only some files need."""

from importlib import import_module
from typing import Any

from pqdb.errors import InputError


def needed(name: str) -> Any:
    """An optional library. Raises InputError saying what to install where it is missing."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f'this file needs {error.name}, which is not installed: pip install "pqdb[transfer]"'
        ) from error
