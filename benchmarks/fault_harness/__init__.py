"""Worker processes, faults that befall them, and what must hold afterwards; started by `benchmarks/faults.py`."""
