"""k-means arithmetic: nearest words and sums by label, for the partition and for the subspaces of a codebook.

Nearest means the largest ⟨x, w⟩ − ‖w‖²/2, which orders words as −‖x − w‖² does; the lowest number wins a
tie. Points of a subspace lie one dimension a row, so that one instruction works on as many points as a
register has lanes. Loops index whole slices from 0: numba lets `start + i` be negative, and then LLVM does
not vectorise (measured: six times slower).
"""

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels._jit import kernel, kernel_inline, kernel_with_arrays

BLOCK = 512  # points worked on at a time: what is kept of each of them stays in the first-level cache
_NUDGE = 1.0 / 1024  # how far the two halves of a split word part, relative to the word


@kernel
def sum_by_label(
    points: NDArray[np.float32],  # (n, d)
    labels: NDArray[np.int32],  # (n,)
    first: int,
    last: int,
    sums: NDArray[np.float64],  # (k, d) in and out
) -> None:
    """Add columns first:last of each point to the sum of its label, in row order."""
    for i in range(points.shape[0]):
        point, total = points[i, first:last], sums[labels[i], first:last]
        for j in range(point.shape[0]):
            total[j] += point[j]


@kernel
def halve_norms(words: NDArray[np.float32], half_norms: NDArray[np.float32]) -> None:
    """‖w‖²/2 of every column of words (dsub, ksub) into half_norms (ksub,)."""
    for c in range(words.shape[1]):
        total = np.float32(0.0)
        for k in range(words.shape[0]):
            total += words[k, c] * words[k, c]
        half_norms[c] = np.float32(0.5) * total


@kernel
def nearest_in_block(
    points: NDArray[np.float32],  # (dsub, n)
    words: NDArray[np.float32],  # (dsub, ksub), ksub even
    half_norms: NDArray[np.float32],  # (ksub,) ‖w‖²/2
    start: int,
    size: int,
    scores: NDArray[np.float32],  # (2, BLOCK) scratch
    best: NDArray[np.float32],  # (BLOCK,) out: ⟨x, w⟩ − ‖w‖²/2 of the nearest word
    label: NDArray[np.int32],  # (BLOCK,) out: the nearest word
) -> None:
    """The nearest word of points start … start + size − 1, size ≤ BLOCK.

    Two words and four dimensions at a time: one word and one dimension spends its time storing partial
    scores.
    """
    stop = start + size
    dsub = words.shape[0]
    fours = dsub - dsub % 4
    even, odd = scores[0], scores[1]
    for i in range(size):
        best[i] = -np.inf
        label[i] = 0
    for c in range(0, words.shape[1], 2):
        for i in range(size):
            even[i] = -half_norms[c]
            odd[i] = -half_norms[c + 1]
        for k in range(0, fours, 4):
            u0, u1, u2, u3 = words[k, c], words[k + 1, c], words[k + 2, c], words[k + 3, c]
            v0, v1, v2, v3 = words[k, c + 1], words[k + 1, c + 1], words[k + 2, c + 1], words[k + 3, c + 1]
            x0, x1 = points[k, start:stop], points[k + 1, start:stop]
            x2, x3 = points[k + 2, start:stop], points[k + 3, start:stop]
            for i in range(size):
                even[i] += x0[i] * u0 + x1[i] * u1 + x2[i] * u2 + x3[i] * u3
                odd[i] += x0[i] * v0 + x1[i] * v1 + x2[i] * v2 + x3[i] * v3
        for k in range(fours, dsub):
            u0, v0 = words[k, c], words[k, c + 1]
            x0 = points[k, start:stop]
            for i in range(size):
                even[i] += x0[i] * u0
                odd[i] += x0[i] * v0
        first, second = np.int32(c), np.int32(c + 1)
        for i in range(size):
            score = even[i]
            name = first
            if odd[i] > score:
                score = odd[i]
                name = second
            if score > best[i]:
                best[i] = score
                label[i] = name


@kernel
def split_into_empty(words: NDArray[np.float32], counts: NDArray[np.int64]) -> None:
    """Give every word without a point half of the fullest word's.

    The two part by a nudge; the next round does the rest.
    """
    for c in range(counts.shape[0]):
        if counts[c] > 0:
            continue
        donor = np.argmax(counts)
        counts[c] = counts[donor] // 2
        counts[donor] -= counts[c]
        for k in range(words.shape[0]):
            coordinate = words[k, donor]
            words[k, c] = coordinate * np.float32(1.0 + _NUDGE)
            words[k, donor] = coordinate * np.float32(1.0 - _NUDGE)


@kernel_with_arrays
def spread_words(points: NDArray[np.float32], draws: NDArray[np.float64], words: NDArray[np.float32]) -> None:
    """First words (dsub, ksub) out: points of (dsub, n), each drawn with chances as its squared distance from those
    before, or evenly where all of them are words already (Arthur and Vassilvitskii 2007, k-means++).

    draws (ksub,) in 0 … 1: the same draws give the same words.
    """
    dsub, n = points.shape
    apart, distance = np.full(n, np.inf, np.float32), np.empty(n, np.float32)
    for c in range(words.shape[1]):
        chosen = min(n - 1, np.int64(draws[c] * n))
        total = 0.0
        if c > 0:
            for i in range(n):
                total += apart[i]
        if total > 0:
            chosen = last_below(apart, draws[c] * total)
        distance[:] = 0
        for k in range(dsub):
            row, word = points[k], points[k, chosen]
            words[k, c] = word
            for i in range(n):
                distance[i] += (row[i] - word) * (row[i] - word)
        for i in range(n):
            apart[i] = min(apart[i], distance[i])


@kernel_inline
def last_below(shares: NDArray[np.float32], wanted: float) -> int:
    """Where the running sum of shares (n,) passes `wanted`: never at a share of 0."""
    total, last = 0.0, 0
    for i in range(shares.shape[0]):
        if shares[i] > 0:
            last = i
            total += shares[i]
            if total > wanted:
                break
    return last


@kernel_with_arrays
def train_words(points: NDArray[np.float32], words: NDArray[np.float32], rounds: int) -> int:
    """Improve words (dsub, ksub) in place by at most `rounds` of Lloyd's rounds over points (dsub, n).

    Stops when no point changes its word; gives the rounds made. Sums are float64 and in row order: the same
    points give the same words to the bit.
    """
    dsub, n = points.shape
    ksub = words.shape[1]
    half_norms = np.empty(ksub, np.float32)
    scores = np.empty((2, BLOCK), np.float32)
    best = np.empty(BLOCK, np.float32)
    label = np.empty(BLOCK, np.int32)
    labels = np.full(n, -1, np.int32)
    for done in range(rounds):
        halve_norms(words, half_norms)
        sums = np.zeros((dsub, ksub), np.float64)
        counts = np.zeros(ksub, np.int64)
        changed = 0
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            nearest_in_block(points, words, half_norms, start, size, scores, best, label)
            before = labels[start : start + size]
            for i in range(size):
                if before[i] != label[i]:
                    before[i] = label[i]
                    changed += 1
                counts[label[i]] += 1
            for k in range(dsub):
                row = points[k, start : start + size]
                for i in range(size):
                    sums[k, label[i]] += row[i]
        if changed == 0:
            return done
        for c in range(ksub):
            if counts[c] > 0:
                for k in range(dsub):
                    words[k, c] = np.float32(sums[k, c] / counts[c])
        split_into_empty(words, counts)
    return rounds
