#!/usr/bin/env bash
# Measure training methods on several data sets, with workers on one GPU that go from one study to the next by themselves,
# so that none waits for the last trial of a study. Ends after SECONDS_IN_ALL; what was not finished goes on next time.
#
#   OUT=run SECONDS_IN_ALL=300 WORKERS=8 HPO_DATA_DIR=data benchmarks/gpu_methods.sh breast pneumonia:10
#
# Each argument is a data set, or DATASET:EPOCHS. SEEDS: 1 unless given, of a new study. DEVICE: cuda unless given. OUT/methods.sqlite3 has the studies.
set -uo pipefail
WORKERS=${WORKERS:-8}
PYTHON=${PYTHON:-python3}
export HPO_STORAGE="sqlite:///$OUT/methods.sqlite3" HPO_CHECKPOINT_DIR=none
mkdir -p "$OUT/logs"
for dataset in "$@"; do
    epochs=()
    [[ "$dataset" == *:* ]] && epochs=(--epochs "${dataset#*:}")
    # A study that is there goes on with the seeds that it has.
    "$PYTHON" -m hpo status "${dataset%%:*}-methods" >/dev/null 2>&1 ||
        "$PYTHON" -m hpo methods "${dataset%%:*}" --seeds "${SEEDS:-1}" --folds 3 "${epochs[@]}" --on none || exit 1
done
workers=()
for number in $(seq "$WORKERS"); do
    (
        trap 'kill -TERM "$child"; wait "$child"; exit' TERM
        for dataset in "$@"; do
            "$PYTHON" -m hpo worker "${dataset%%:*}-methods" --device "${DEVICE:-cuda}" --sharing "$WORKERS" \
                --worker-name "gpu-$number" >>"$OUT/logs/gpu-$number.log" 2>&1 &
            child=$!
            wait "$child"
        done
    ) &
    workers+=($!)
done
(sleep "${SECONDS_IN_ALL:-300}" && kill -TERM "${workers[@]}" 2>/dev/null) &
clock=$!
wait "${workers[@]}"
kill "$clock" 2>/dev/null
for dataset in "$@"; do "$PYTHON" -m hpo status "${dataset%%:*}-methods"; done
exit 0
