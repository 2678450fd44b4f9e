#!/usr/bin/env bash
# What it brings to train one fold of a trial first: two searches of BreastMNIST with the narrow ResNet-18, 60 trials of 3 folds each, that differ in
# their rungs alone, at one worker and one core each; then what both cost and found. Ctrl-C stops it cleanly, and the next call goes on.
#
#   benchmarks/by_folds.sh
#
# KEEP: folder of the databases, docs/results/stages unless given. WORK: folder of running databases and checkpoints, campaign-run/stages unless given;
# what is there goes before what is in KEEP.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
WORK=${WORK:-$ROOT/campaign-run/stages}
KEEP=${KEEP:-$ROOT/docs/results/stages}
mkdir -p "$WORK" "$KEEP"

# search RUNGS
search() {
    local name=breast-by-$1
    export HPO_STORAGE=sqlite:///$WORK/$name.sqlite3 HPO_CHECKPOINT_DIR=$WORK/checkpoints
    [ -e "$WORK/$name.sqlite3" ] || [ ! -e "$KEEP/$name.sqlite3" ] || cp "$KEEP/$name.sqlite3" "$WORK/$name.sqlite3"
    "$PYTHON" -m hpo launch --dataset breast --name "$name" --trials 60 --set "search.rungs=$1" --set scoring.folds=3 \
        --set fixed.network=resnet18_narrow --on none
    exec "$PYTHON" -m hpo worker "$name" --threads 1 --sharing 2 --device cpu
}

# SIGTERM: a shell makes what it runs in the background deaf to Ctrl-C.
trap 'kill $(jobs -p) 2>/dev/null || true' INT TERM
declare -A process
for rungs in epochs folds; do
    search "$rungs" >>"$WORK/by-$rungs.log" 2>&1 &
    process[$rungs]=$!
done
echo "logs: $WORK/by-epochs.log, $WORK/by-folds.log"
for rungs in epochs folds; do
    while :; do
        code=0
        wait "${process[$rungs]}" || code=$?
        kill -0 "${process[$rungs]}" 2>/dev/null || break
    done
    # 130: asked to stop; above 128: by a signal while it started.
    [ "$code" -eq 0 ] || [ "$code" -gt 128 ] || { tail -n 3 "$WORK/by-$rungs.log" >&2 && exit "$code"; }
done
for rungs in epochs folds; do
    rm -f "$KEEP/by-$rungs.part"
    "$PYTHON" -m hpo db backup "$KEEP/by-$rungs.part" --storage "sqlite:///$WORK/breast-by-$rungs.sqlite3" >/dev/null
    mv "$KEEP/by-$rungs.part" "$KEEP/breast-by-$rungs.sqlite3"
done
"$PYTHON" "$ROOT/benchmarks/study_cost.py" "sqlite:///$KEEP/breast-by-epochs.sqlite3" "sqlite:///$KEEP/breast-by-folds.sqlite3"
