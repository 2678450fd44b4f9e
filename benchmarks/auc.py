"""CPU seconds of the mean AUC with DeLong's error for 80,000 rows and 14 labels: `python benchmarks/auc.py`."""

from __future__ import annotations

import time

import numpy as np

from hpo.statistics.auc import mean_auc_with_error

ROWS, LABELS, ROUNDS = 80_000, 14, 7

if __name__ == "__main__":
    random = np.random.default_rng(0)
    scores = random.normal(size=(ROWS, LABELS)).astype(np.float32)
    labels = (random.random((ROWS, LABELS)) < 0.05).astype(np.uint8)
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        mean_auc_with_error(scores, labels)
        seconds.append(time.process_time() - start)
    print(f"{ROWS} rows, {LABELS} labels: median {np.median(seconds):.3f} s, {min(seconds):.3f} to {max(seconds):.3f}")
