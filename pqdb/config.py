"""The values a collection is made with, checked at birth and frozen; every limit has its name here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, cast, get_args

import numpy as np

from pqdb.errors import FormatError, InputError
from pqdb.metric import METRICS, WITH_CODES, Metric, check_metric

MAX_DIM = 65_536
MAX_K = 10_000
USUAL_NIBBLES = 64  # of a 4-bit code that nobody sized, of more than 256 dimensions
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
MAX_PAYLOAD_DEPTH = 256  # objects and lists in one another: far below where JSON's reader runs out of stack
MAX_NAME = 255
MAX_VECTORS = 64  # of a collection, each with a name: an index of its own for each
DEFAULT_RECALL = 0.97
TRAIN_ROWS = 5_000  # below this a collection is searched exactly
FRESH_ROWS = 2_000  # this many rows outside the lists and upkeep indexes them
RETRAIN_GROWTH = 4  # a generation is trained anew when the collection has grown this many times

Source = Literal["float32", "float16", "int8"]
Rerank = Literal["int8", "float16", "source", "auto"]  # auto: resolved when the configuration is made
Scalar = Literal["int8", "float16", "int4", "1bit"]
Values = Literal["int8", "float16"]  # scalars that are kept as they are, in the scan or in the rerank tier
Objective = Literal["error", "score"]

VALUE_BYTES: dict[str | None, int] = {"int8": 1, "float16": 2}


def default_bits(dim: int, nbits: int = 4) -> float:
    """Bits a dimension of codes nobody sized (docs/decisions/012): what fewer bits save in the scan, the rerank pays.

    4-bit codes end at USUAL_NIBBLES sub-quantizers, whatever the dimension.
    """
    if nbits == 8:
        return 1.0
    return 1.5 if dim <= 128 else min(1.0, USUAL_NIBBLES * nbits / dim)


@dataclass(frozen=True)
class PQ:
    """Product quantization (Jégou, Douze, Schmid 2011): m sub-quantizers of 2**nbits codewords each.

    Without `m` the code takes `bits_per_dim` bits a dimension, and without that as many as serve dimensions of this
    number best (default_bits). 4-bit codes are scanned by in-register look-ups; 8-bit codes are the classic.

    objective "error" fits codewords to the residuals; "score" (4-bit only) to the scores a search will see: errors
    along a vector count more than those across it (Guo et al. 2020, arXiv 1908.10396).
    """

    bits_per_dim: float | None = None
    m: int | None = None
    nbits: int = 4
    objective: Objective = "error"

    def __post_init__(self) -> None:
        if self.nbits not in (4, 8):
            raise InputError(f"PQ(nbits={self.nbits}) is not offered: 4 or 8")
        _make_plain(self, "m")
        if self.m is not None and (not _is_whole(self.m) or not 1 <= self.m <= MAX_DIM):
            raise InputError(f"PQ(m={self.m}) must be a whole number from 1 to {MAX_DIM}")
        if self.bits_per_dim is not None and not 0 < self.bits_per_dim <= 8:
            raise InputError(f"PQ(bits_per_dim={self.bits_per_dim}) must be above 0 and at most 8")
        if self.m is not None and self.bits_per_dim is not None:
            raise InputError(f"PQ(bits_per_dim={self.bits_per_dim}, m={self.m}): either says how long a code is")
        if self.objective not in get_args(Objective):
            raise InputError(f"PQ(objective={self.objective!r}) is not one of {', '.join(get_args(Objective))}")
        if self.objective == "score" and self.nbits != 4:
            raise InputError(f'PQ(objective="score") is offered for codes of 4 bits, not {self.nbits}')

    def sub_quantizers(self, dim: int) -> int:
        """How many sub-quantizers a vector of `dim` dimensions gets. Raises InputError if that cannot be."""
        bits = default_bits(dim, self.nbits) if self.bits_per_dim is None else self.bits_per_dim
        m = self.m if self.m is not None else max(1, round(dim * bits / self.nbits))
        if m > dim:
            raise InputError(f"PQ with {m} sub-quantizers needs at least {m} dimensions, not {dim}")
        return m


@dataclass(frozen=True)
class SQ:
    """Scalar quantization: every dimension of a residual by itself, without codewords to learn.

    "int8": a byte a dimension and a scale a vector. "float16": half precision. "int4": 16 even steps a dimension, as
    wide as a sample of the data asks for. "1bit": the sign of each dimension after a random rotation, and a rescale
    factor a vector that makes the estimate unbiased (RaBitQ: Gao, Long 2024, arXiv 2405.12497).
    """

    form: Scalar = "int8"

    def __post_init__(self) -> None:
        if self.form not in get_args(Scalar):
            raise InputError(f"SQ({self.form!r}) is not one of {', '.join(get_args(Scalar))}")


@dataclass(frozen=True)
class Flat:
    """No codes: every search compares every source vector, exactly."""


Quantization = PQ | SQ | Flat


@dataclass(frozen=True)
class CollectionConfig:
    """All that a collection is made with. Written into its manifest; never changes.

    quantization None is PQ(), and Flat() for l1, which no code estimates. rerank "auto" is int8, and None where the
    codes that are scanned are no coarser than that.
    """

    dim: int
    metric: Metric = "cosine"
    quantization: Quantization | None = None
    rerank: Rerank | None = "auto"
    source: Source | None = "float32"

    def __post_init__(self) -> None:
        _make_plain(self, "dim")
        if not _is_whole(self.dim) or not 1 <= self.dim <= MAX_DIM:
            raise InputError(f"dim must be a whole number from 1 to {MAX_DIM}, not {self.dim!r}")
        check_metric(self.metric)
        if self.source is not None and self.source not in get_args(Source):
            raise InputError(f"source={self.source!r} is not one of {', '.join(get_args(Source))} or None")
        if self.quantization is None:
            object.__setattr__(self, "quantization", PQ() if self.metric in WITH_CODES else Flat())
        if not isinstance(self.quantization, PQ | SQ | Flat):
            raise InputError(f"quantization must be PQ(…), SQ(…) or Flat(), not {self.quantization!r}")
        if self.rerank == "auto":
            object.__setattr__(self, "rerank", None if self.scanned_values else "int8")
        if self.rerank is not None and self.rerank not in get_args(Rerank):
            raise InputError(f"rerank={self.rerank!r} is not one of {', '.join(get_args(Rerank))} or None")
        self._check_tiers()
        if self.metric not in WITH_CODES and not isinstance(self.quantization, Flat):
            raise InputError(
                f"metric {self.metric} is compared exactly, without codes: Flat() fits it, not {self.quantization!r}"
            )
        if self.source is None and isinstance(self.quantization, Flat):
            raise InputError("Flat() compares source vectors, so source=None leaves nothing to compare")
        if isinstance(self.quantization, PQ):
            self.quantization.sub_quantizers(self.dim)

    def _check_tiers(self) -> None:
        scanned = self.scanned_values
        if scanned and self.rerank in VALUE_BYTES and VALUE_BYTES[self.rerank] <= VALUE_BYTES[scanned]:
            raise InputError(f"rerank={self.rerank!r} is no finer than the codes of SQ({scanned!r}) that are scanned")
        if self.source is None and self.rerank == "source":
            raise InputError('rerank="source" needs source vectors, so source cannot be None')

    @property
    def indexed(self) -> list["CollectionConfig"]:
        """What each vector is made with that has an index of its own: this."""
        return [self]

    @property
    def kept_source(self) -> Source:
        """The form source rows take on disk: while a row waits to be indexed it is kept even with source=None."""
        return self.source or "float32"

    @property
    def scanned_values(self) -> Values | None:
        """The form in which the scan reads residuals value by value; None where it looks codes up in tables."""
        return _as_values(self.quantization.form) if isinstance(self.quantization, SQ) else None

    @property
    def reranked_values(self) -> Values | None:
        """The form of the rerank tier's residuals; None without a tier of its own."""
        return _as_values(self.rerank)

    @property
    def kept_values(self) -> Values | None:
        """The finest form the lists keep residuals in value by value; None where there are only codes."""
        return self.reranked_values or self.scanned_values

    def to_dict(self) -> dict[str, Any]:
        """As JSON for the manifest. An objective is named only where it is not the usual one: older versions of pqdb
        know of no other.
        """
        told = asdict(self)
        quantization = {"kind": KINDS[type(self.quantization)], **told["quantization"]}
        if quantization.get("objective") == "error":
            del quantization["objective"]
        return {**told, "quantization": quantization}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From the manifest's JSON. Raises FormatError for a quantization or setting this version does not know."""
        settings = dict(data)
        quantization = dict(settings.pop("quantization"))
        kind = quantization.pop("kind")
        made = next((made for made, name in KINDS.items() if name == kind), None)
        if made is None:
            raise FormatError(f"this version of pqdb does not know the quantization {kind!r}")
        _refuse_unknown(made, quantization)
        if quantization.get("m") is not None:  # as long as both could be said, this counted
            quantization.pop("bits_per_dim", None)
        _refuse_unknown(cls, settings)
        if settings["metric"] not in METRICS:
            raise FormatError(f"this version of pqdb does not know the metric {settings['metric']!r}")
        return cls(quantization=made(**quantization), **settings)


def _refuse_unknown(kind: type[Any], settings: dict[str, Any]) -> None:
    unknown = settings.keys() - {each.name for each in fields(kind)}
    if unknown:
        raise FormatError(f"this version of pqdb does not know the setting {min(unknown)!r} of {kind.__name__}")


@dataclass(frozen=True)
class VectorConfig(CollectionConfig):
    """All that one of several vectors is made with, each of which has a name. Source vectors are always kept: where one
    vector of a point changes, the others are copied from there.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source is None:
            raise InputError("source=None is not offered for vectors with names: float32, float16 or int8")


@dataclass(frozen=True)
class SparseConfig:
    """All that a sparse vector is made with. It is compared exactly, by inner product.

    idf: what a query asks for counts the more the fewer points have it (inverse document frequency, with the smoothing
    of BM25: Robertson, Zaragoza 2009, doi 10.1561/1500000019): each value of a query is multiplied by
    ln(1 + (N − n + ½) / (n + ½)), of N points with the vector n that name the dimension, counted as it is asked.
    """

    idf: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.idf, bool):
            raise InputError(f"SparseConfig(idf={self.idf!r}): True or False")


@dataclass(frozen=True)
class NamedConfig:
    """What a collection is made with whose vectors have names, in the order of their slots: sparse ones come last."""

    vectors: Mapping[str, VectorConfig]
    sparse: Mapping[str, SparseConfig] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, VectorConfig | SparseConfig]) -> Self:
        """Of both kinds together. Raises InputError."""
        if not isinstance(given, Mapping):
            raise InputError(f"vectors is a mapping of names to VectorConfig(…) or SparseConfig(…), not {given!r:.50}")
        sparse = {name: each for name, each in given.items() if isinstance(each, SparseConfig)}
        dense: dict[str, Any] = {name: each for name, each in given.items() if name not in sparse}
        return cls(dense, sparse)

    def __post_init__(self) -> None:
        for kind, given in (("vectors", self.vectors), ("sparse vectors", self.sparse)):
            if len(given) > MAX_VECTORS:
                raise InputError(f"a collection has at most {MAX_VECTORS} {kind} with names, not {len(given)}")
        twice = self.vectors.keys() & self.sparse.keys()
        if twice:
            raise InputError(f"a name stands for one vector, and {min(twice)!r} for two")
        for name in (*self.vectors, *self.sparse):
            if len(name) > MAX_NAME or any("\ud800" <= character <= "\udfff" for character in name):
                raise InputError(f"a vector's name has at most {MAX_NAME} characters, all valid Unicode, not {name!r}")
        for name, config in self.vectors.items():
            if not isinstance(config, VectorConfig):
                raise InputError(
                    f"vectors[{name!r}] must be a VectorConfig(dim=…) or a SparseConfig(), not {config!r}"
                )

    @property
    def indexed(self) -> list[CollectionConfig]:
        """What each vector is made with that has an index of its own, in the order of their slots."""
        return list(self.vectors.values())

    def to_dict(self) -> dict[str, Any]:
        """As JSON for the manifest: lists, since the slots count by them."""
        dense = [{"name": name, **config.to_dict()} for name, config in self.vectors.items()]
        sparse = [{"name": name, **asdict(config)} for name, config in self.sparse.items()]
        return {"vectors": dense, **({"sparse": sparse} if sparse else {})}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From the manifest's JSON. Raises FormatError for a setting this version does not know."""
        dense, sparse = [[dict(each) for each in data.get(kind, ())] for kind in ("vectors", "sparse")]
        for each in sparse:
            _refuse_unknown(SparseConfig, {key: value for key, value in each.items() if key != "name"})
        return cls(
            {each.pop("name"): VectorConfig.from_dict(each) for each in dense},
            {each.pop("name"): SparseConfig(**each) for each in sparse},
        )


def config_from_dict(data: dict[str, Any]) -> CollectionConfig | NamedConfig:
    """From the manifest's JSON. Raises FormatError for a quantization this version does not know."""
    return (NamedConfig if "vectors" in data else CollectionConfig).from_dict(data)


def _as_values(form: str | None) -> Values | None:
    return cast(Values, form) if form in VALUE_BYTES else None


KINDS: dict[type[Any], str] = {PQ: "pq", SQ: "sq", Flat: "flat"}


def _is_whole(number: object) -> bool:
    """Whether a number is an int, and not a bool that passes for one."""
    return isinstance(number, int) and not isinstance(number, bool)


def _make_plain(config: object, field: str) -> None:
    """A whole number of NumPy's as Python's, which the manifest can hold."""
    number = getattr(config, field)
    if isinstance(number, np.integer):
        object.__setattr__(config, field, int(number))
