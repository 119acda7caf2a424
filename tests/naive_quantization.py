"""Quantization and partition in plain numpy, written as the papers write them: slow, obvious, and right."""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np

from pqdb.quantization.codebook import Codebook

Array = np.ndarray


def nearest(points: Array, words: Array) -> Array:
    """(n,) number of the nearest of words (k, d) to each of points (n, d); the lowest wins a tie."""
    differences = points[:, None, :].astype(np.float64) - words[None].astype(np.float64)
    nearest_word: Array = (differences**2).sum(axis=2).argmin(axis=1)
    return nearest_word


def spread(points, draws):
    """(k, d) points, the first by its draw, each further one where its draw falls among squared distances from those
    before, laid end to end.
    """
    words = [points[int(draws[0] * len(points))]]
    for draw in draws[1:]:
        apart = np.min([((points.astype(np.float64) - word) ** 2).sum(axis=1) for word in words], axis=0)
        words.append(points[np.searchsorted(np.cumsum(apart), draw * apart.sum(), side="right")])
    return np.array(words)


def lloyd(points: Array, words: Array, rounds: int) -> Array:
    """words (k, d) after `rounds` rounds; a word without points takes half of the fullest word's."""
    words = words.copy()
    labels = None
    for _ in range(rounds):
        moved = nearest(points, words)
        if labels is not None and np.array_equal(moved, labels):
            break
        labels = moved
        counts = np.bincount(labels, minlength=len(words))
        for c in np.flatnonzero(counts):
            words[c] = points[labels == c].astype(np.float64).mean(axis=0)
        for c in np.flatnonzero(counts == 0):
            donor = int(counts.argmax())
            counts[c] = counts[donor] // 2
            counts[donor] -= counts[c]
            words[c] = words[donor] * np.float32(1 + 1 / 1024)
            words[donor] = words[donor] * np.float32(1 - 1 / 1024)
    return words


def subspaces(codebook: Codebook) -> Iterator[tuple[int, int, Array]]:
    """(first dimension, one past the last, codewords (ksub, dsub)) of each subspace."""
    for lo, hi in pairwise(codebook.bounds):
        yield lo, hi, codebook.codewords[lo:hi].T


def encode(codebook: Codebook, residuals: Array) -> tuple[Array, Array]:
    """codes (n, m) and rescale factors (n,): r → nearest codewords of r/‖r‖, s = ‖r‖ / ⟨r/‖r‖, r̂⟩."""
    lengths = np.linalg.norm(residuals.astype(np.float64), axis=1)
    units = residuals / np.where(lengths > 0, lengths, 1)[:, None]
    turned = units if codebook.rotation is None else units @ codebook.rotation.T.astype(np.float64)
    codes = np.zeros((len(residuals), codebook.m), np.uint8)
    overlaps = np.zeros(len(residuals))
    for j, (lo, hi, words) in enumerate(subspaces(codebook)):
        if lo < hi:
            codes[:, j] = nearest(turned[:, lo:hi], words)
            overlaps += (turned[:, lo:hi] * words[codes[:, j]]).sum(axis=1)
    return codes, lengths / np.maximum(overlaps, 0.1)


def decode(codebook: Codebook, codes: Array) -> Array:
    """r̂ (n, dim) of codes (n, m)."""
    parts = [words[codes[:, j]] for j, (_, _, words) in enumerate(subspaces(codebook))]
    rows = np.concatenate(parts, axis=1).astype(np.float64)
    return rows if codebook.rotation is None else rows @ codebook.rotation


def pack_list(codes: Array, s: Array, b: Array | None, rows: Array, nbits: int) -> Array:
    """The bytes of a code block, written one vector and one code at a time."""
    count, m = codes.shape
    out = bytearray()
    groups = range(0, count, 32)
    for first in groups:
        body = np.zeros(m * nbits * 4, np.uint8)
        for v, code in enumerate(codes[first : first + 32]):
            for j in range(m):
                if nbits == 8:
                    body[j * 32 + v] = code[j]
                else:
                    body[(j // 2) * 32 + (j % 2) * 16 + v % 16] |= code[j] << (4 if v >= 16 else 0)
        out += body.tobytes() + _halves(s[first : first + 32], 0.0)
        if b is not None:
            out += _halves(b[first : first + 32], -65504.0)
    for first in groups:
        numbers = np.full(32, 0xFFFFFFFF, np.uint32)
        numbers[: len(rows[first : first + 32])] = rows[first : first + 32]
        out += numbers.tobytes()
    return np.frombuffer(bytes(out), np.uint8)


def value_rows(residuals: Array, bias: Array, form: str) -> Array:
    """The bytes of rows of values, written one number at a time."""
    out = bytearray()
    for row, added in zip(residuals, bias, strict=True):
        if form == "float16":
            out += np.float32(1).tobytes() + np.float32(added).tobytes()
            values = row.astype(np.float16).tobytes()
        else:
            scale = np.float32(np.abs(row).max() / np.float32(127))
            scale = (scale.reshape(1).view(np.uint32) & ~np.uint32(127)).view(np.float32)[0]
            out += scale.tobytes() + np.float32(added).tobytes()
            values = np.rint(row * (np.float32(1) / scale if scale > 0 else 0)).astype(np.int8).tobytes()
        out += values + bytes(-len(values) % 64)
    return np.frombuffer(bytes(out), np.uint8)


def _halves(factors: Array, padding: float) -> bytes:
    halves = np.full(32, padding, np.float16)
    halves[: len(factors)] = factors
    return halves.tobytes()


def cheapest_widths(energies: Array, m: int, distortion: dict[int, float]) -> float:
    """Least distortion that up to m widths side by side leave, energies past them dropped: all are tried."""
    best = float(np.sum(energies))
    for count in range(1, m + 1):
        for widths in product(distortion, repeat=count):
            if sum(widths) <= len(energies):
                best = min(best, cost_of(np.cumsum([0, *widths]), energies, distortion))
    return best


def cost_of(bounds: Array, energies: Array, distortion: dict[int, float]) -> float:
    """Distortion that subspaces with these bounds leave of energies (d,)."""
    cost = float(np.sum(energies[bounds[-1] :]))
    for lo, hi in pairwise(bounds):
        if hi > lo:
            cost += distortion[int(hi - lo)] * float(np.sum(energies[lo:hi]))
    return cost
