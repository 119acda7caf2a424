"""Residuals into codes and rescale factors, and codes back into directions."""

import numpy as np
from numpy.typing import NDArray

from pqdb.errors import DimensionError
from pqdb.kernels.encode import code_products, decode_rows, encode_rows
from pqdb.kernels.score_aware import refine_codes
from pqdb.panels import inner_products
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.pack import value_rows, values_of
from pqdb.quantization.values import Code, ValueCode
from pqdb.threads import share_rows

# A code that holds less of its row than this would be blown up past ten times the row's length.
MIN_OVERLAP = np.float32(0.1)
SWEEPS = 3  # over the subspaces, where errors along a vector count more
_BLOCK_ROWS = 2_048  # rows normalised and rotated at a time: 6 MB at 768 dimensions


def normalise(residuals: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """residuals (n, d) at unit length, and their lengths (n,); a residual of length 0 stays zero.

    Unnormalised, tight clusters of near-duplicates get useless codes (and factors past float16) from a
    codebook that was trained on all the others.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", residuals, residuals))
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > np.finfo(np.float32).tiny)
    return residuals * inverse[:, None], lengths


def encode(
    codebook: Code, residuals: NDArray[np.float32], along: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Codes (n, m) and rescale factors s (n,) of residuals (n, dim); codes of a ValueCode are its rows, without a bias.

    along (n, dim): the vectors along which errors count more, where the codebook has a weight; the residuals themselves
    if nothing is said.

    s = ‖r‖ / ⟨r/‖r‖, r̂⟩ with r̂ = decode(code), so that s·⟨q, r̂⟩ estimates ⟨q, r⟩ without the shrinkage
    of the code; it is 0 for a residual of zeros and at most ‖r‖ / MIN_OVERLAP. Raises DimensionError.
    """
    if residuals.ndim != 2 or residuals.shape[1] != codebook.dim:
        raise DimensionError(f"expected residuals of {codebook.dim} dimensions, not {residuals.shape}")
    n = len(residuals)
    if isinstance(codebook, ValueCode):
        rows = value_rows(residuals, np.zeros(n, np.float32), codebook.form)
        return rows, values_of(rows, codebook.dim, codebook.form)[1]
    codes = np.empty((n, codebook.m), np.uint8)
    s = np.empty(n, np.float32)

    def encode_part(part: slice) -> None:
        units, lengths = normalise(residuals[part])
        overlaps = np.empty(len(units), np.float32)
        turned = codebook.rotate(units)
        encode_rows(turned, codebook.bounds, codebook.codewords, codes[part], overlaps)
        if codebook.weight:
            directions = turned if along is None else codebook.rotate(normalise(along[part])[0])
            refine_codes(
                turned, directions, codebook.bounds, codebook.codewords, np.float32(codebook.weight), SWEEPS,
                codes[part], overlaps,
            )  # fmt: skip
        s[part] = lengths / np.maximum(overlaps, MIN_OVERLAP)

    share_rows(encode_part, n, _BLOCK_ROWS)
    return codes, s


def decode(codebook: Code, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """r̂ (n, dim) of codes (n, m): the direction a code stands for; times its s it estimates the residual."""
    if isinstance(codebook, ValueCode):
        return values_of(codes, codebook.dim, codebook.form)[0].astype(np.float32)
    rows = np.empty((len(codes), codebook.d_out), np.float32)
    decode_rows(codes, codebook.bounds, codebook.codewords, rows)
    if codebook.rotation is None:
        return rows
    return inner_products(rows, codebook.rotation.T)


def centroid_products(
    codebook: Codebook,
    codes: NDArray[np.uint8],  # (n, m)
    s: NDArray[np.float32],  # (n,)
    centroids: NDArray[np.float32],  # (lists, dim)
    labels: NDArray[np.int32],  # (n,) list of each row
) -> NDArray[np.float32]:
    """s·⟨c, r̂⟩ (n,) with the centroid c of each row's list.

    With it the squared distance of a query to a row is estimated as ‖q − c‖² + ‖r‖² + 2·s⟨c, r̂⟩ − 2·s⟨q,
    r̂⟩: the error of the code then enters by ⟨q − c, ·⟩, which is small for near lists, and not by ⟨q, ·⟩.
    """
    products = np.empty(len(codes), np.float32)
    turned = np.ascontiguousarray(codebook.rotate(centroids))
    code_products(codes, codebook.bounds, codebook.codewords, turned, labels, products)
    return s * products
