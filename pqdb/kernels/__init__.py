"""Arithmetic on arrays: the only home of numba and llvmlite."""
