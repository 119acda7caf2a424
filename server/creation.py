"""The body of a collection's creation: what the engine is told, and what is kept to be given back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pqdb

from .errors import format_error, not_offered, not_yet, wrong_input
from .fields import Fields
from .names import WIRE_KEY
from .points import check_depth
from .quantization import Codes, parse_quantization
from .sparse import config_of, parse_params
from .tuning import HNSW, PARAMS, PLACEMENT, WAL, checked, checked_optimizers, checked_struct
from .vectors import UNNAMED

OURS = "pqdb"  # the key of a client's metadata that holds options of ours
METRICS = {"Cosine": "cosine", "Dot": "dot", "Euclid": "l2", "Manhattan": "l1"}
DISTANCES = {metric: distance for distance, metric in METRICS.items()}
MAX_DIM = 65536

_KEYS = (
    "vectors", "sparse_vectors", "hnsw_config", "optimizers_config", "wal_config", "quantization_config",
    "metadata", "strict_mode_config", "sharding_method", "init_from", "payload", "id_tracker", *PARAMS,
)  # fmt: skip
_VECTOR_KEYS = (
    "size", "distance", "hnsw_config", "quantization_config", "on_disk", "memory", "datatype",
    "multivector_config",
)  # fmt: skip
_OPTIONS = ("dim", "metric", "quantization", "rerank", "source")
_RERANKS = ("int8", "float16", "source", "none")
_SCALARS = {each.form: each for each in (pqdb.SQ("int8"), pqdb.SQ("float16"), pqdb.SQ("int4"), pqdb.SQ("1bit"))}
_OBJECTIVES = ("error", "score")
_SOURCES = ("float32", "float16", "int8", "none")


@dataclass(frozen=True)
class Creation:
    """A checked creation: arguments of `Database.create_collection`, and the echo in its metadata."""

    arguments: dict[str, Any]
    metadata: dict[str, Any]

    @classmethod
    def parse(cls, body: Fields) -> Creation:
        """Raises Refusal 400 or 422."""
        body.only(_KEYS)
        _refuse_absent_features(body)
        (vectors, is_plain), sparse = _vectors(body), parse_params(body)
        _check_names(vectors, sparse)
        user, options = _metadata(body)
        configs, sent = {}, {}
        for name, fields in vectors.items():
            configs[name], sent[name] = _vector(fields, body, options)
        sent_all = parse_quantization(body, next((each.dim for each in configs.values()), 1))[1]
        echo = {
            "vectors": sent[UNNAMED] if is_plain else sent,
            "sparse_vectors": None if body.get("sparse_vectors") is None else sparse,
            "params": checked(body, PARAMS) | _placements(body),
            "hnsw_config": checked_struct(body, "hnsw_config", HNSW),
            "optimizer_config": checked_optimizers(body),
            "wal_config": checked_struct(body, "wal_config", WAL),
            "quantization_config": sent_all,
            "has_metadata": user is not None,
        }
        kept = {key: value for key, value in echo.items() if value is not None}
        made = {name: config_of(params) for name, params in sparse.items()}
        return cls(_arguments(configs, made), {**(user or {}), WIRE_KEY: kept})


def _arguments(
    configs: dict[str, pqdb.CollectionConfig], sparse: dict[str, pqdb.SparseConfig]
) -> dict[str, Any]:
    """What the engine makes a collection with: of the unnamed vector alone, or of several with names."""
    if list(configs) == [UNNAMED] and not sparse:
        return {field: getattr(configs[UNNAMED], field) for field in _OPTIONS}
    named = {
        name: pqdb.VectorConfig(**{field: getattr(each, field) for field in _OPTIONS})
        for name, each in configs.items()
    }
    return {"vectors": {**named, **sparse}}


def _check_names(vectors: dict[str, Fields], sparse: dict[str, Any]) -> None:
    """Refuse a name that stands for two vectors. Raises Refusal 400."""
    for name in sparse:
        if name in vectors:
            raise wrong_input(f"the vector name `{name}` is taken twice: in `vectors` and in `sparse_vectors`")


def _vectors(body: Fields) -> tuple[dict[str, Fields], bool]:
    """The parameters of every vector by its name, and whether there was one, given plain. Where there are sparse ones
    there need be no others.
    """
    if body.get("vectors") is None and body.get("sparse_vectors"):
        return {}, False
    vectors = Fields.of(body.required("vectors"), "vectors")
    if _is_plain(vectors):
        return {UNNAMED: vectors}, True
    return {name: Fields.of(each, f'vectors["{name}"]') for name, each in vectors.value.items()}, False


def _is_plain(vectors: Fields) -> bool:
    """Whether these are the parameters of a vector: names may be `size` and `distance` too, but of objects."""
    return any(name in vectors.value and not isinstance(vectors.value[name], dict) for name in ("size", "distance"))


def _vector(vector: Fields, body: Fields, options: dict[str, Any]) -> tuple[pqdb.CollectionConfig, dict[str, Any]]:
    """What the engine makes a vector with, and its parameters as they were sent."""
    dim = vector.unsigned("size", 0, least=1, most=MAX_DIM) if vector.required("size") is not None else 0
    of_vector, sent = _vector_params(vector, dim)
    quantization = options.get("quantization") or of_vector or parse_quantization(body, dim)[0]
    metric: Any = METRICS[vector.value["distance"]]
    return pqdb.CollectionConfig(dim, metric, **{**options, "quantization": quantization}), sent


def _vector_params(vector: Fields, dim: int) -> tuple[Codes | None, dict[str, Any]]:
    """A vector's own quantization, and its parameters as they were sent."""
    vector.only(_VECTOR_KEYS)
    vector.required("distance")
    distance = vector.variant("distance", METRICS)
    if vector.variant("datatype", ("float32", "float16", "uint8", "turbo4", "turbo8", "turbo16")) not in (
        None,
        "float32",
    ):
        raise not_yet(f"the datatype {vector.get('datatype')}")
    if vector.get("multivector_config") is not None:
        raise not_offered("multivectors (`multivector_config`)")
    quantization, sent = parse_quantization(vector, dim)
    params = {
        "size": dim,
        "distance": distance,
        "hnsw_config": checked_struct(vector, "hnsw_config", HNSW),
        "quantization_config": sent,
        "datatype": vector.get("datatype"),
        **checked(vector, {"on_disk": bool} | PLACEMENT),
    }
    return quantization, {key: value for key, value in params.items() if value is not None}


def _refuse_absent_features(body: Fields) -> None:
    """Refuse what would change answers or promises and is not there."""
    body.refuse(init_from="copying another collection")
    if body.variant("sharding_method", ("auto", "custom")) == "custom":
        raise not_offered("custom sharding")
    strict = body.fields("strict_mode_config")
    if strict is not None and any(value not in (None, False) for value in strict.value.values()):
        raise not_yet("strict mode (`strict_mode_config`)")


def _placements(body: Fields) -> dict[str, Any]:
    given = {key: checked_struct(body, key, PLACEMENT) for key in ("payload", "id_tracker")}
    return {key: value for key, value in given.items() if value is not None}


def _metadata(body: Fields) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The client's own metadata, and the options of ours it may carry under "pqdb"."""
    fields = body.fields("metadata")
    if fields is None:
        return None, {}
    check_metadata_keys(fields)
    ours = fields.fields(OURS)
    return fields.value, {} if ours is None else _options(ours)


def check_metadata_keys(fields: Fields) -> None:
    """Refuse metadata that cannot be given back, or that uses the service's own key. Raises Refusal 400."""
    check_depth([fields.value])
    if WIRE_KEY in fields.value:
        raise format_error(f"metadata: the key `{WIRE_KEY}` is kept for the service itself")


def _options(ours: Fields) -> dict[str, Any]:
    """`{"quantization": {"pq": {"m", "nbits", "objective"}} | {"sq": "int8" …} | "flat", "rerank", "source"}` →
    arguments of the engine.
    """
    ours.only(("quantization", "rerank", "source"))
    options: dict[str, Any] = {}
    for key, words in (("rerank", _RERANKS), ("source", _SOURCES)):
        if (word := ours.variant(key, words)) is not None:
            options[key] = None if word == "none" else word
    if ours.get("quantization") == "flat":
        options["quantization"] = pqdb.Flat()
    elif (given := ours.fields("quantization")) is not None:
        options["quantization"] = _codes(given.only(("pq", "sq")))
    return options


def _codes(given: Fields) -> Codes:
    """One of the codes, by its own name."""
    if (form := given.variant("sq", _SCALARS)) is not None:
        given.only(("sq",))
        return next(code for name, code in _SCALARS.items() if name == form)
    pq = Fields.of(given.required("pq"), given.path("pq")).only(("m", "nbits", "objective"))
    pq.required("m")
    scored = pq.variant("objective", _OBJECTIVES) == "score"
    m, nbits = pq.unsigned("m", 0, least=1), pq.unsigned("nbits", 8)
    return pqdb.PQ(m=m, nbits=nbits, objective="score" if scored else "error")
