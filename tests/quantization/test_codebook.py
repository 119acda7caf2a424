"""Codebook: refused at birth if it does not fit together; its bytes come back to the bit."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqdb.errors import CorruptError, FormatError, InputError
from pqdb.quantization.codebook import MAGIC, VERSION, Codebook, padded


def make(
    dim: int = 6,
    nbits: int = 4,
    bounds: tuple[int, ...] = (0, 2, 4, 6, 6),
    *,
    rotated: bool = False,
    seed: int = 0,
) -> Codebook:
    rng = np.random.default_rng(seed)
    d_out = bounds[-1]
    codewords = rng.standard_normal((d_out, 1 << nbits)).astype(np.float32)
    rotation = rng.standard_normal((d_out, dim)).astype(np.float32) if rotated else None
    return Codebook(dim, nbits, np.array(bounds, np.int32), codewords, rotation)


@st.composite
def codebooks(draw: st.DrawFn) -> Codebook:
    nbits = draw(st.sampled_from([4, 8]))
    widths = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(any))
    rotated = draw(st.booleans())
    dim = sum(widths) + (draw(st.integers(0, 3)) if rotated else 0)
    bounds = (0, *np.cumsum(widths).tolist())
    return make(dim, nbits, bounds, rotated=rotated, seed=draw(st.integers(0, 100)))


@settings(deadline=None)
@given(codebooks())
def test_bytes_come_back_to_the_bit(codebook: Codebook) -> None:
    data = codebook.to_bytes()
    back = Codebook.from_bytes(memoryview(data))
    assert back.to_bytes() == data
    assert (back.dim, back.nbits, back.m, back.d_out) == (
        codebook.dim,
        codebook.nbits,
        codebook.m,
        codebook.d_out,
    )
    assert np.array_equal(back.codewords, codebook.codewords)
    assert (back.rotation is None) == (codebook.rotation is None)


@settings(deadline=None)
@given(codebooks(), st.data())
def test_bytes_cut_short_or_too_long_are_refused(codebook: Codebook, data: st.DataObject) -> None:
    whole = codebook.to_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CorruptError):
        Codebook.from_bytes(whole[:cut])
    with pytest.raises(CorruptError):
        Codebook.from_bytes(whole + b"\0" * data.draw(st.integers(1, 9)))


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_other_bytes_are_refused(junk: bytes, disguised: bool) -> None:
    with pytest.raises((CorruptError, FormatError)):
        Codebook.from_bytes(MAGIC + struct.pack("<H", VERSION) + junk if disguised else junk)


def test_a_newer_version_is_refused_by_its_number() -> None:
    data = bytearray(make().to_bytes())
    struct.pack_into("<H", data, len(MAGIC), VERSION + 1)
    with pytest.raises(FormatError, match=f"version {VERSION + 1}.* {VERSION}"):
        Codebook.from_bytes(bytes(data))


def test_bytes_that_decode_to_nonsense_are_corrupt() -> None:
    data = bytearray(make().to_bytes())
    data[-4:] = struct.pack("<f", float("nan"))
    with pytest.raises(CorruptError, match="finite codewords"):
        Codebook.from_bytes(bytes(data))
    data = bytearray(make().to_bytes())
    struct.pack_into("<i", data, 20 + 4, 5)  # bounds 0, 5, 4, 6, 6
    with pytest.raises(CorruptError, match="rise"):
        Codebook.from_bytes(bytes(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dim": 0}, "1 to 65536 dimensions, not 0"),
        ({"dim": 7}, "7 coded dimensions without a rotation, not 6"),
        ({"nbits": 5}, "4 or 8 bits, not 5"),
        ({"bounds": np.array([0, 2, 4, 6], np.int32)}, "multiple of 4 subspaces"),
        ({"bounds": np.array([0, 2, 1, 6, 6], np.int32)}, "rise from 0"),
        ({"bounds": np.array([1, 2, 3, 6, 6], np.int32)}, "rise from 0"),
        ({"bounds": np.zeros(5, np.int32)}, "rise from 0"),
        ({"codewords": np.zeros((6, 15), np.float32)}, r"\(6, 16\), not \(6, 15\)"),
        ({"codewords": np.full((6, 16), np.inf, np.float32)}, "finite codewords"),
        ({"rotation": np.zeros((5, 6), np.float32)}, r"\(6, 6\), not \(5, 6\)"),
        ({"rotation": np.full((6, 6), np.nan, np.float32)}, "finite rotation"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, object], words: str) -> None:
    good = make()
    values = {"dim": 6, "nbits": 4, "bounds": good.bounds, "codewords": good.codewords, "rotation": None}
    with pytest.raises(InputError, match=words):
        Codebook(**{**values, **change})  # type: ignore[arg-type]


def test_arrays_are_its_own_and_frozen() -> None:
    words = np.zeros((6, 16), np.float32)
    codebook = Codebook(6, 4, np.array([0, 2, 4, 6, 6]), words)
    words[0, 0] = 9
    assert codebook.codewords[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        codebook.codewords[0, 0] = 1
    with pytest.raises(AttributeError):
        codebook.dim = 7  # type: ignore[misc]


def test_sizes() -> None:
    assert [padded(m) for m in (1, 4, 5, 96)] == [4, 4, 8, 96]
    codebook = make(9, 8, (0, 2, 4, 6, 6), rotated=True)
    assert (codebook.m, codebook.ksub, codebook.d_out, codebook.code_bytes) == (4, 256, 6, 4)
    assert make().code_bytes == 2


def test_rotating_changes_nothing_without_a_rotation(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((3, 6)).astype(np.float32)
    assert make().rotate(vectors) is vectors
    turned = make(6, 4, (0, 1, 2, 3, 4), rotated=True)
    assert turned.rotation is not None
    assert np.allclose(turned.rotate(vectors), vectors @ turned.rotation.T)
