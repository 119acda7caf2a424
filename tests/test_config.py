"""The values a collection is made with: checked at birth, and back from their JSON."""

import json
from typing import Any

import pytest

from pqdb.config import MAX_DIM, PQ, SQ, CollectionConfig, Flat
from pqdb.errors import FormatError, InputError


@pytest.mark.parametrize(
    "config",
    [
        CollectionConfig(384),
        CollectionConfig(3, "l2", PQ(m=3, nbits=8), None, None),
        CollectionConfig(1, "dot", Flat(), "source", "float16"),
        CollectionConfig(768, "cosine", PQ(bits_per_dim=0.5), "int8", "int8"),
        CollectionConfig(768, "dot", PQ(objective="score"), "float16", "float16"),
        CollectionConfig(8, "dot", SQ(), "float16", None),
        CollectionConfig(8, "l2", SQ("1bit"), "source", "int8"),
    ],
)
def test_a_config_comes_back_from_its_json(config: CollectionConfig) -> None:
    assert CollectionConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_defaults_are_codes_sized_by_the_dimension_int8_rerank_and_float32_source() -> None:
    config = CollectionConfig(384)
    assert (config.metric, config.quantization, config.rerank, config.source) == ("cosine", PQ(), "int8", "float32")
    assert [PQ().sub_quantizers(dim) for dim in (96, 128, 200, 256, 300, 384, 768)] == [36, 48, 50, 64, 64, 64, 64]
    assert PQ().nbits == 4


@pytest.mark.parametrize(
    ("dim", "quantization", "m"),
    [(1, PQ(), 1), (3, PQ(), 1), (65, PQ(), 24), (100, PQ(m=7), 7), (1536, PQ(), 64), (64, PQ(1.0, nbits=8), 8),
     (4096, PQ(), 64), (64, PQ(nbits=8), 8), (2048, PQ(1.0), 512), (4096, PQ(1), 1024),
     (16, PQ(bits_per_dim=4), 16)],
)  # fmt: skip
def test_sub_quantizers_of_a_dimension(dim: int, quantization: PQ, m: int) -> None:
    assert quantization.sub_quantizers(dim) == m
    CollectionConfig(dim, quantization=quantization)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CollectionConfig(0), f"dim must be a whole number from 1 to {MAX_DIM}, not 0"),
        (lambda: CollectionConfig(MAX_DIM + 1), f"not {MAX_DIM + 1}"),
        (lambda: CollectionConfig(3.0), "not 3.0"),  # type: ignore[arg-type]
        (lambda: CollectionConfig(True), "not True"),
        (lambda: CollectionConfig("8"), "not '8'"),  # type: ignore[arg-type]
        (lambda: CollectionConfig(3, "l3"), "metric 'l3' is not one of"),  # type: ignore[arg-type]
        (lambda: CollectionConfig(3, "l1", PQ(m=3)), "metric l1 is compared exactly, without codes: Flat() fits it"),
        (lambda: CollectionConfig(3, source="int4"), "source='int4' is not one of"),  # type: ignore[arg-type]
        (lambda: CollectionConfig(3, rerank="int4"), "rerank='int4' is not one of"),  # type: ignore[arg-type]
        (lambda: CollectionConfig(3, quantization=Flat(), source=None), "leaves nothing to compare"),
        (lambda: CollectionConfig(3, rerank="source", source=None), "needs source vectors"),
        (lambda: CollectionConfig(3, quantization="pq"), "quantization must be PQ"),  # type: ignore[arg-type]
        (lambda: CollectionConfig(3, quantization=PQ(m=4)), "4 sub-quantizers needs at least 4 dimensions, not 3"),
        (lambda: CollectionConfig(9, quantization=SQ(), rerank="int8"), "rerank='int8' is no finer than the codes"),
        (lambda: CollectionConfig(9, quantization=SQ("float16"), rerank="float16"), "codes of SQ('float16')"),
        (lambda: CollectionConfig(9, quantization=SQ("float16"), rerank="int8"), "'int8' is no finer than the codes"),
        (lambda: SQ("int2"), "SQ('int2') is not one of int8, float16, int4, 1bit"),  # type: ignore[arg-type]
        (lambda: PQ(objective="best"), "PQ(objective='best') is not one of error, score"),  # type: ignore[arg-type]
        (lambda: PQ(m=4, nbits=8, objective="score"), "offered for codes of 4 bits, not 8"),
        (lambda: PQ(nbits=5), "PQ(nbits=5) is not offered: 4 or 8"),
        (lambda: PQ(m=0), "PQ(m=0) must be"),
        (lambda: PQ(m=2.5), "PQ(m=2.5) must be"),  # type: ignore[arg-type]
        (lambda: PQ(bits_per_dim=0), "bits_per_dim=0) must be above 0 and at most 8"),
        (lambda: PQ(bits_per_dim=9), "bits_per_dim=9) must be above 0 and at most 8"),
        (lambda: PQ(bits_per_dim=float("nan")), "bits_per_dim=nan) must be above 0 and at most 8"),
    ],
)
def test_what_cannot_be_is_refused_with_its_number(make: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert sentence in str(caught.value)


def test_a_quantization_of_a_newer_version_is_refused_not_misread() -> None:
    record = CollectionConfig(3).to_dict()
    record["quantization"] = {"kind": "rq", "nbits": 8}
    with pytest.raises(FormatError, match="does not know the quantization 'rq'"):
        CollectionConfig.from_dict(record)


def test_an_older_version_reads_what_it_always_could() -> None:
    """PQ had no objective once: where there is none but the usual, none is written."""
    assert CollectionConfig(3).to_dict()["quantization"] == {"kind": "pq", "bits_per_dim": None, "m": None, "nbits": 4}
    assert CollectionConfig(3, quantization=SQ("int4")).to_dict()["quantization"] == {"kind": "sq", "form": "int4"}


@pytest.mark.parametrize(
    ("quantization", "rerank"),
    [(PQ(), "int8"), (SQ("1bit"), "int8"), (SQ("int4"), "int8"), (SQ("int8"), None), (SQ("float16"), None)],
)
def test_the_usual_rerank_is_finer_than_what_is_scanned_or_none(quantization: Any, rerank: Any) -> None:
    assert CollectionConfig(24, quantization=quantization).rerank == rerank


def test_codes_that_were_sized_twice_are_read_as_they_were_made() -> None:
    """Before that was refused, m counted."""
    told = CollectionConfig(64, quantization=PQ(m=16)).to_dict()
    told["quantization"]["bits_per_dim"] = 2.0
    assert CollectionConfig.from_dict(told).quantization == PQ(m=16)
