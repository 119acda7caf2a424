"""What went wrong, in Qdrant's words: an engine error or a refusal → status code and text."""

from __future__ import annotations

from typing import NoReturn

import pqdb

UNFORESEEN = "Service internal error: an unforeseen failure; the service's log has the details"


class Refusal(Exception):
    """A request that is answered with an error envelope."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def format_error(detail: str, place: str = "JSON body") -> Refusal:
    """The request cannot be read: malformed JSON, a wrong type, an unknown variant."""
    return Refusal(400, f"Format error in {place}: {detail}")


def validation_error(field: str, detail: str, place: str = "JSON body") -> Refusal:
    """The request can be read, but a number or a length is out of range."""
    return Refusal(422, f"Validation error in {place}: [{field}: {detail}]")


def wrong_input(detail: str) -> Refusal:
    """The request can be read, but does not fit the collection."""
    return Refusal(400, f"Wrong input: {detail}")


def not_found(detail: str) -> Refusal:
    """What was asked for is not there."""
    return Refusal(404, f"Not found: {detail}")


def collection_not_found(name: str) -> Refusal:
    """Clients look for these words."""
    return not_found(f"Collection `{name}` doesn't exist!")


def not_yet(what: str) -> Refusal:
    """A part of Qdrant's interface this version does not speak: said, never ignored."""
    return wrong_input(f"pqdb {pqdb.__version__} does not offer {what} yet")


def not_offered(what: str) -> Refusal:
    """A part of Qdrant's interface pqdb leaves out on purpose."""
    return wrong_input(f"pqdb does not offer {what}")


def refuse_unknown_vector(name: str) -> NoReturn:
    """Raise for the name of a vector that a collection does not have."""
    raise wrong_input(f"Not existing vector name error: {name}")


def mismatched_vector(name: str, is_sparse: bool) -> Refusal:
    """A sparse vector where the collection has another kind under this name, or the reverse."""
    said = f"vector `{name}`" if name else "the vector without a name"
    said += " is sparse" if is_sparse else " is not sparse"
    return wrong_input(f"Conversion between sparse and regular vectors failed: {said}")


# The first row whose class fits decides, so kin stand before their parents.
_ANSWERS: tuple[tuple[type[pqdb.PqdbError], int, str], ...] = (
    (pqdb.FilterRangeError, 422, "Validation error in JSON body: [{}]"),
    (pqdb.NotYetError, 400, "Wrong input: {}"),
    (pqdb.InputError, 400, "Wrong input: {}"),
    (pqdb.ConflictError, 409, "Conflict: {}"),
    (pqdb.CollectionNotFoundError, 404, "Not found: {}"),
    (pqdb.PointNotFoundError, 404, "Not found: {}"),
    (pqdb.CollectionExistsError, 409, "Wrong input: {}"),
    (pqdb.ReadOnlyError, 403, "Forbidden: {}"),
    (pqdb.DiskFullError, 507, "Insufficient storage: {}"),
    (pqdb.LockedError, 503, "Service unavailable: {}"),
    (pqdb.ClosedError, 503, "Service unavailable: {}"),
    (pqdb.PqdbError, 500, "Service internal error: {}"),
)


def refusal_of(error: pqdb.PqdbError) -> Refusal:
    """The answer to an error of the engine: its own sentence behind Qdrant's prefix."""
    status, text = next((status, text) for kind, status, text in _ANSWERS if isinstance(error, kind))
    return Refusal(status, text.format(error))
