#!/usr/bin/env bash
# On a machine with a GPU, from the repository's root: the tests for GPU, the training benchmark, then as much of the
# AdrenalMNIST3D study as fits the time. Run it again with the same OUT and the study goes on from its database.
#
#   OUT=run SECONDS_FOR_STUDY=400 HPO_DATA_DIR=data benchmarks/gpu.sh
#
# OUT: folder for results. SECONDS_FOR_STUDY: after so long the study is interrupted cleanly. WORKERS: workers on the GPU.
set -euo pipefail
OUT=${OUT:-gpu-run}
SECONDS_FOR_STUDY=${SECONDS_FOR_STUDY:-400}
WORKERS=${WORKERS:-4}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"

if [ ! -e "$OUT/adrenal3d.sqlite3" ]; then
    "$PYTHON" -m pytest -m gpu tests 2>&1 | tee "$OUT/tests.log"
    "$PYTHON" benchmarks/training.py 2d --device cuda --epochs 4 --seeds 2 --out "$OUT/training-2d.json"
    "$PYTHON" benchmarks/training.py 3d --device cuda --rows 1188 --epochs 3 --seeds 1 --out "$OUT/training-3d.json"
fi

timeout --signal=INT --kill-after=60 "$SECONDS_FOR_STUDY" \
    "$PYTHON" -m hpo launch --dataset adrenal3d --trials 200 --workers "$WORKERS" \
    --storage "sqlite:///$OUT/adrenal3d.sqlite3" --log-dir "$OUT/logs" || [ $? = 124 ] || [ $? = 130 ]
"$PYTHON" -m hpo status adrenal3d --storage "sqlite:///$OUT/adrenal3d.sqlite3"
"$PYTHON" -m hpo best adrenal3d --storage "sqlite:///$OUT/adrenal3d.sqlite3" --json >"$OUT/best.json"
