"""What kernels are handed, named for the reader: numba infers the machine types, so the checker is not asked to."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Address = Any  # uint64
Whole = Any  # int64, or a smaller integer
Real = Any  # float32, or a Python float
