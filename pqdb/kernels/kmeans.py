"""k-means arithmetic: sums by label for the partition, and Lloyd's rounds for one subspace of a codebook.

Nearest means the largest ⟨x, w⟩ − ‖w‖²/2, which orders words as −‖x − w‖² does; the lowest number wins a tie. Points of a
subspace lie one dimension a row, so that one instruction works on as many points as a register has lanes.
"""

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels._jit import kernel

BLOCK = 256  # points worked on at a time: their scores, labels and 16 dimensions stay in the first-level cache
_NUDGE = 1.0 / 1024  # how far the two halves of a split word part, relative to the word


@kernel
def sum_by_label(
    points: NDArray[np.float32], labels: NDArray[np.int32], sums: NDArray[np.float64], counts: NDArray[np.int64]
) -> None:
    """Add each row of points (n, d) to sums (k, d) at its label and count it in counts (k,); both are added to."""
    for i in range(points.shape[0]):
        label = labels[i]
        counts[label] += 1
        for j in range(points.shape[1]):
            sums[label, j] += points[i, j]


@kernel
def nearest_in_block(
    points: NDArray[np.float32],  # (dsub, n)
    words: NDArray[np.float32],  # (dsub, ksub)
    half_norms: NDArray[np.float32],  # (ksub,) ‖w‖²/2
    start: int,
    size: int,
    score: NDArray[np.float32],  # (BLOCK,) scratch
    best: NDArray[np.float32],  # (BLOCK,) out: ⟨x, w⟩ − ‖w‖²/2 of the nearest word
    label: NDArray[np.int32],  # (BLOCK,) out: the nearest word
) -> None:
    """The nearest word of points start … start + size − 1, size ≤ BLOCK."""
    for i in range(size):
        best[i] = -np.inf
        label[i] = 0
    for c in range(words.shape[1]):
        for i in range(size):
            score[i] = -half_norms[c]
        for k in range(words.shape[0]):
            coordinate = words[k, c]
            for i in range(size):
                score[i] += points[k, start + i] * coordinate
        for i in range(size):
            if score[i] > best[i]:
                best[i] = score[i]
                label[i] = c


@kernel
def halve_norms(words: NDArray[np.float32], half_norms: NDArray[np.float32]) -> None:
    """‖w‖²/2 of every column of words (dsub, ksub) into half_norms (ksub,)."""
    for c in range(words.shape[1]):
        total = np.float32(0.0)
        for k in range(words.shape[0]):
            total += words[k, c] * words[k, c]
        half_norms[c] = np.float32(0.5) * total


@kernel
def split_into_empty(words: NDArray[np.float32], counts: NDArray[np.int64]) -> None:
    """Give every word that holds no point half of the fullest word's: the two part by a nudge, the next round does the rest."""
    for c in range(counts.shape[0]):
        if counts[c] > 0:
            continue
        donor = 0
        for other in range(counts.shape[0]):
            if counts[other] > counts[donor]:
                donor = other
        counts[c] = counts[donor] // 2
        counts[donor] -= counts[c]
        for k in range(words.shape[0]):
            coordinate = words[k, donor]
            words[k, c] = coordinate * np.float32(1.0 + _NUDGE)
            words[k, donor] = coordinate * np.float32(1.0 - _NUDGE)


@kernel
def train_words(points: NDArray[np.float32], words: NDArray[np.float32], rounds: int) -> int:
    """Improve words (dsub, ksub) in place by at most `rounds` of Lloyd's rounds over points (dsub, n).

    Stops when no point changes its word; gives the rounds made. Sums are float64 and in row order, so the same points give
    the same words to the bit.
    """
    dsub, n = points.shape
    ksub = words.shape[1]
    half_norms = np.empty(ksub, np.float32)
    score = np.empty(BLOCK, np.float32)
    best = np.empty(BLOCK, np.float32)
    label = np.empty(BLOCK, np.int32)
    labels = np.full(n, -1, np.int32)
    for done in range(rounds):
        halve_norms(words, half_norms)
        sums = np.zeros((ksub, dsub), np.float64)
        counts = np.zeros(ksub, np.int64)
        changed = 0
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            nearest_in_block(points, words, half_norms, start, size, score, best, label)
            for i in range(size):
                c = label[i]
                if labels[start + i] != c:
                    labels[start + i] = c
                    changed += 1
                counts[c] += 1
                for k in range(dsub):
                    sums[c, k] += points[k, start + i]
        if changed == 0:
            return done
        for c in range(ksub):
            if counts[c] > 0:
                for k in range(dsub):
                    words[k, c] = np.float32(sums[c, k] / counts[c])
        split_into_empty(words, counts)
    return rounds


@kernel
def nearest_by_product(
    products: NDArray[np.float32],  # (k, n) ⟨c, x⟩
    half_norms: NDArray[np.float32],  # (k,) ‖c‖²/2
    names: NDArray[np.int32],  # (k,) what each c is called in labels
    best: NDArray[np.float32],  # (n,) in and out: the largest product − half_norm so far
    labels: NDArray[np.int32],  # (n,) in and out: the name it belongs to
) -> None:
    """Let every column's labels follow the larger of best and what this call's rows offer; the first of equals stays."""
    for c in range(products.shape[0]):
        half_norm = half_norms[c]
        name = names[c]
        for i in range(products.shape[1]):
            score = products[c, i] - half_norm
            if score > best[i]:
                best[i] = score
                labels[i] = name
