#!/usr/bin/env bash
# What it brings to train one fold of a trial first: two searches of BreastMNIST with the narrow ResNet-18, 60 trials of 3 folds each, that differ in
# their rungs alone, at one worker and one core each. Goes on with the databases of an earlier call; then prints what both cost and found.
#
#     benchmarks/by_folds.sh [OUT]           OUT: folder of databases and logs, docs/results/stages unless named
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
OUT=$(realpath -m "${1:-docs/results/stages}")
mkdir -p "$OUT"

search() { # RUNGS
    local name=breast-by-$1
    local database=sqlite:///$OUT/$name.sqlite3
    "$PYTHON" -m hpo launch --dataset breast --name "$name" --trials 60 --set "search.rungs=$1" --set scoring.folds=3 \
        --set fixed.network=resnet18_narrow --storage "$database" --on none
    exec "$PYTHON" -m hpo worker "$name" --threads 1 --sharing 2 --device cpu --storage "$database" --checkpoint-dir "${TMPDIR:-/tmp}/hpo-by-folds"
}

for rungs in epochs folds; do
    search "$rungs" >>"${TMPDIR:-/tmp}/hpo-by-$rungs.log" 2>&1 &
done
trap 'kill -INT $(jobs -p) 2>/dev/null; wait' INT TERM
wait
for rungs in epochs folds; do
    "$PYTHON" benchmarks/study_cost.py "sqlite:///$OUT/breast-by-$rungs.sqlite3"
done
