"""How hard to search: Qdrant's knobs and our header, read as one number, the recall to keep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .errors import format_error, not_yet, validation_error
from .fields import Fields

_ACORN: tuple[str, ...] = ("enable", "max_selectivity")

# An HNSW beam of this width answers about as well as our default recall of 0.97.
_USUAL_EF = 128
_MISS_AT_USUAL_EF = 0.03
_LEAST_RECALL, _MOST_RECALL = 0.5, 0.999


@dataclass(frozen=True)
class Effort:
    """How hard to search: arguments of `Collection.search`."""

    recall: float | None = None
    exact: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """As keyword arguments."""
        return {"recall": self.recall, "exact": self.exact}

    @classmethod
    def parse(cls, params: Fields | None, recall: float | None) -> Effort:
        """Read `params`; a recall asked for by header goes before `hnsw_ef` and `oversampling`.

        Raises Refusal 400 or 422.
        """
        if params is None:
            return cls(recall)
        params.only(("hnsw_ef", "exact", "quantization", "indexed_only", "acorn", "idf"))
        _check_idf(params)
        params.boolean("indexed_only")  # fresh rows are searched at no such cost as Qdrant's: always
        if (acorn := params.fields("acorn")) is not None:
            acorn.only(_ACORN)
        codes = params.fields("quantization") or Fields({}, params.path("quantization"))
        oversampling = _oversampling(codes.only(("ignore", "rescore", "oversampling")))
        if recall is None and (params.get("hnsw_ef") is not None or oversampling is not None):
            recall = recall_of_beam(params.unsigned("hnsw_ef", _USUAL_EF), oversampling or 1.0)
        return cls(recall, exact=params.boolean("exact") or codes.boolean("ignore"))


def _check_idf(params: Fields) -> None:
    """Frequencies are counted among all points with the vector; those of a part are refused. Raises Refusal 400."""
    if isinstance(params.get("idf"), dict):
        raise not_yet(f"frequencies among a part of the points (`{params.path('idf')}`)")
    params.variant("idf", ("global",))


def _oversampling(codes: Fields) -> float | None:
    """How many times more candidates to rescore than are asked for."""
    codes.boolean("rescore")  # false allows scores straight from the codes, and a dozen exact ones are as fast
    oversampling = codes.number("oversampling")
    if oversampling is not None and oversampling < 1.0:
        raise validation_error(codes.path("oversampling"), f"value {oversampling} invalid, must be 1.0 or larger")
    return oversampling


def parse_recall(header: str | None) -> float | None:
    """The header `x-pqdb-recall`. Raises Refusal 400 for anything but a number between 0 and 1."""
    if header is None:
        return None
    try:
        recall = float(header)
    except ValueError:
        recall = math.nan
    if not 0 < recall < 1:
        raise format_error(f"x-pqdb-recall: {header[:64]!r}, expected a number between 0 and 1", "headers")
    return recall


def recall_of_beam(ef: int, oversampling: float = 1.0) -> float:
    """The recall to ask for where Qdrant is given a beam of width `ef` and rescores so many times more.

    Misses halve as either doubles: our search chooses its own effort for a recall, so knobs become one.
    """
    misses = _MISS_AT_USUAL_EF * _USUAL_EF / (max(ef, 1) * oversampling)
    return min(max(1 - misses, _LEAST_RECALL), _MOST_RECALL)


def beam_of_recall(recall: float) -> int:
    """The width of Qdrant's beam that `recall_of_beam` reads as this recall."""
    return round(_MISS_AT_USUAL_EF * _USUAL_EF / (1 - recall))
