"""The benches: every engine side by side (`python -m bench`), and one module for each smaller question."""
