#!/usr/bin/env bash
# Workers on one GPU that go from study to study by themselves, so that none waits for the last trials of a study. Ends
# after SECONDS_IN_ALL at the latest; what was not finished is released and goes on next time (exit code 124). Studies are created
# beforehand, where no GPU is paid for: `hpo methods breast --on none`, `hpo launch ... --on none`.
#
#   HPO_STORAGE=sqlite:///run/gpu.sqlite3 OUT=run SECONDS_IN_ALL=300 HPO_DATA_DIR=data benchmarks/gpu_workers.sh STUDY...
#
# WORKERS: 8 unless given; behind with_mps.sh their kernels run at the same time. DEVICE: cuda unless given. OUT/logs has the workers' logs.
set -uo pipefail
WORKERS=${WORKERS:-8}
PYTHON=${PYTHON:-python3}
export HPO_CHECKPOINT_DIR=none
mkdir -p "$OUT/logs"
workers=()
for number in $(seq "$WORKERS"); do
    (
        trap 'kill -TERM "$child"; wait "$child"; exit' TERM
        for study in "$@"; do
            "$PYTHON" -m hpo worker "$study" --device "${DEVICE:-cuda}" --sharing "$WORKERS" \
                --worker-name "gpu-$number-$$" >>"$OUT/logs/gpu-$number.log" 2>&1 &
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
in_time=$?
"$PYTHON" -m hpo studies
[ "$in_time" -eq 0 ] || exit 124
