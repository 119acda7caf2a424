"""The nearest centroid of each row, every centroid compared."""

import numpy as np
from numpy.typing import NDArray

from pqdb.panels import Panels


def nearest_centroids(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """Number (n,) of the nearest of centroids (k, d) to each of vectors (n, d); the lowest wins a tie.

    ‖x − c‖² is compared as ‖c‖² − 2⟨x, c⟩, which loses digits when all rows lie far from zero: callers move
    them there.
    """
    return Panels.of(centroids).nearest(vectors).labels
