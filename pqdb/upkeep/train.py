"""Train: a sample of vectors becomes a router and a codebook."""

from collections.abc import Callable

import numpy as np

from pqdb.config import PQ, SQ, CollectionConfig
from pqdb.memory import COPIES, Memory
from pqdb.partition.assign import assign
from pqdb.partition.middle import middle, usual
from pqdb.partition.router import Router
from pqdb.partition.train import points_needed, train_centroids
from pqdb.quantization.scalar import sign_codebook, step_codebook
from pqdb.quantization.train import rows_needed, train_codebook
from pqdb.quantization.values import Code, ValueCode

Progress = Callable[[str, float], None]  # stage, share done
CODEBOOK_SAMPLE = 65_536
USUAL_LENGTH = 256.0  # of residuals, and its inverse: a float16 factor has all its digits far beyond


def sample_size(n_rows: int, n_lists: int, dim: int, memory: Memory) -> int:
    """How many rows training looks at, whatever the collection's size. Raises InputError where memory is too small."""
    wanted = min(n_rows, max(CODEBOOK_SAMPLE, points_needed(n_lists, dim)))
    return memory.rows(wanted, COPIES * 4 * dim, n_rows)


def train(
    sample: np.ndarray, config: CollectionConfig, n_lists: int, seed: int, progress: Progress | None = None
) -> tuple[Router, Code]:
    """Centroids of `n_lists` lists and the code of what is left of the vectors around them.

    sample (n, dim) float32 as metric.prepare leaves them. The same sample and seed give the same bytes.
    """
    l2 = config.metric == "l2"
    mean = middle(sample) if l2 else np.zeros(config.dim, np.float32)
    moved = sample - mean if l2 else sample
    centroids = train_centroids(moved, n_lists, seed=seed, progress=_stage(progress, "centroids"))
    drawn = moved[np.random.default_rng(seed).permutation(len(moved))[: _rows_of_code(config)]]
    residuals = centroids[assign(drawn, centroids)]
    np.subtract(drawn, residuals, out=residuals)
    unit = _unit_of(residuals, always=l2)
    if unit != 1:
        residuals /= np.float32(unit)
        centroids = centroids / np.float32(unit)
        drawn /= np.float32(unit)
    code = train_code(residuals, drawn, config, seed, _stage(progress, "codebook"))
    return Router(l2, mean, unit, centroids), code


def train_code(
    residuals: np.ndarray, vectors: np.ndarray, config: CollectionConfig, seed: int,
    progress: Callable[[float], None] | None,
) -> Code:  # fmt: skip
    """The code a collection asks for, fitted to residuals (n, dim) of vectors (n, dim)."""
    wanted = config.quantization
    if isinstance(wanted, PQ):
        return train_codebook(
            residuals,
            wanted.sub_quantizers(config.dim),
            wanted.nbits,
            vectors=vectors,
            metric=config.metric,
            objective=wanted.objective,
            seed=seed,
            progress=progress,
        )
    assert isinstance(wanted, SQ)
    if wanted.form == "1bit":
        return sign_codebook(config.dim, seed)
    if wanted.form == "int4":
        return step_codebook(residuals)
    return ValueCode(config.dim, wanted.form)


def _rows_of_code(config: CollectionConfig) -> int:
    """How many rows training the code makes use of."""
    wanted = config.quantization
    return rows_needed(config.dim, wanted.nbits) if isinstance(wanted, PQ) else CODEBOOK_SAMPLE


def _unit_of(residuals: np.ndarray, always: bool) -> float:
    """What residuals (n, d) are divided by, so that float16 factors hold them: their usual length.

    Without `always`, 1 where they fit as they are: inner products then need no scaling of queries.
    """
    length = float(np.sqrt(usual(np.einsum("nd,nd->n", residuals, residuals))))
    if length == 0 or (not always and 1 / USUAL_LENGTH <= length <= USUAL_LENGTH):
        return 1.0
    return float(np.float32(length))


def _stage(progress: Progress | None, stage: str) -> Callable[[float], None] | None:
    if progress is None:
        return None
    return lambda share: progress(stage, share)
