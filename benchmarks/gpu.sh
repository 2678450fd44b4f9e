#!/usr/bin/env bash
# Everything that needs a GPU, from the repository's root, in the order of what must be known first: the tests for GPU,
# training beside plain loops, what each training method does on three data sets, folds, packing, predicted hours,
# fidelity of a smaller input, and as much of the AdrenalMNIST3D study as the time allows, with its measured hours. Each
# part has a limit, and nothing is begun after SECONDS_IN_ALL. Run it again with the same OUT until it says that all is
# done: what is done or has failed is left out (OUT/NAME.failed; remove it to try again), what ran out of time is begun
# anew, save that methods, fidelity and study go on.
#
#   OUT=run SECONDS_IN_ALL=570 HPO_DATA_DIR=data benchmarks/gpu.sh
#
# OUT: folder for results. SECONDS_IN_ALL: of this call. WORKERS: workers of the study on the GPU. PARTS: the parts to
# run, such as "tests methods-breast"; all, if it is not set.
set -uo pipefail
OUT=${OUT:-gpu-run}
SECONDS_IN_ALL=${SECONDS_IN_ALL:-570}
WORKERS=${WORKERS:-4}
PYTHON=${PYTHON:-python3}
STORAGE="sqlite:///$OUT/adrenal3d.sqlite3"
LEAST_SECONDS=20
MISSING=0
FAILED=0
mkdir -p "$OUT"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
END=$(($(date +%s) + SECONDS_IN_ALL))

# part NAME SECONDS COMMAND...: once, within its limit and the time left; its output goes to OUT/NAME.log.
part() {
    local name=$1 limit=$2 left
    shift 2
    [ -e "$OUT/$name.done" ] && return
    if [ -n "${PARTS:-}" ] && [[ " $PARTS " != *" $name "* ]]; then return; fi
    if [ -e "$OUT/$name.failed" ]; then
        echo "$name: has failed; see $OUT/$name.log"
        FAILED=$((FAILED + 1))
        return
    fi
    left=$((END - $(date +%s)))
    [ "$left" -lt "$limit" ] && limit=$left
    if [ "$limit" -lt "$LEAST_SECONDS" ]; then
        echo "$name: no time left"
        MISSING=$((MISSING + 1))
        return
    fi
    echo "$name: at most $limit s"
    timeout --signal=INT --kill-after=20 "$limit" "$@" >>"$OUT/$name.log" 2>&1
    case $? in
    0) touch "$OUT/$name.done" && echo "$name: done" ;;
    124 | 130 | 137) echo "$name: out of time" && MISSING=$((MISSING + 1)) ;;
    *) touch "$OUT/$name.failed" && FAILED=$((FAILED + 1)) && echo "$name: failed; see $OUT/$name.log" ;;
    esac
}

training() {
    local name=$1 limit=$2
    shift 2
    part "$name" "$limit" "$PYTHON" benchmarks/training.py "$@" --device cuda --out "$OUT/$name.json"
}

mapfile -t TESTS < <(grep -rlE 'mark\.gpu' tests)
part tests 150 "$PYTHON" -m pytest -m gpu -rs --durations=10 "${TESTS[@]}"
training training-2d 60 2d --epochs 6 --seeds 2
training training-3d 60 3d --epochs 3 --seeds 1 --rows 1188
training folds-2d 60 folds --dataset breast --epochs 4
training folds-3d 90 folds --dataset adrenal3d --batch 32 --epochs 3 --rows 640
for dataset in breast pneumonia adrenal3d; do
    part "methods-$dataset" 180 "$PYTHON" -m hpo methods "$dataset" --seeds 3 --folds 3 --workers "$WORKERS" \
        --device cuda --storage "sqlite:///$OUT/methods.sqlite3" --log-dir "$OUT/logs" \
        --checkpoint-dir "$OUT/checkpoints" --markdown
done
part alternatives-2d 120 "$PYTHON" benchmarks/alternatives.py 2d --device cuda --folds 5 --rounds 20
part alternatives-3d 120 "$PYTHON" benchmarks/alternatives.py 3d --device cuda --folds 5 --batch 32 --rounds 10
training packed-2d 90 packed --dataset breast --epochs 4 --at-once 1 2 4 8
training packed-3d 120 packed --dataset adrenal3d --batch 32 --epochs 3 --rows 320 --at-once 1 2 4
training hours 60 hours --dataset adrenal3d --drawn 6
part overhead 90 "$PYTHON" benchmarks/overhead.py --device cuda --epochs 10 --out "$OUT/overhead.json"
part fidelity 420 "$PYTHON" benchmarks/fidelity.py --out "$OUT/fidelity.jsonl" --sizes 14 20 28 --configurations 24 \
    --rows 1000 --scoring-rows 280 --epochs 30 --batch-size 32
part study "$SECONDS_IN_ALL" "$PYTHON" -m hpo launch --dataset adrenal3d --trials 200 --workers "$WORKERS" \
    --device cuda --storage "$STORAGE" --log-dir "$OUT/logs" --checkpoint-dir "$OUT/checkpoints"

if [ -e "$OUT/fidelity.jsonl" ]; then
    "$PYTHON" benchmarks/fidelity.py --out "$OUT/fidelity.jsonl" --report >"$OUT/fidelity.json"
fi
if [ -e "$OUT/adrenal3d.sqlite3" ]; then
    "$PYTHON" -m hpo status adrenal3d --storage "$STORAGE"
    "$PYTHON" -m hpo best adrenal3d --storage "$STORAGE" --json >"$OUT/best.json"
    "$PYTHON" -m hpo trials adrenal3d --storage "$STORAGE" --json >"$OUT/trials.json"
    "$PYTHON" benchmarks/training.py hours --dataset adrenal3d --device cuda --drawn 2 --finished "$OUT/trials.json" \
        --workers "$WORKERS" --out "$OUT/hours-measured.json" >/dev/null
fi
echo "$FAILED parts have failed, $MISSING ran out of time; run it again with OUT=$OUT for the latter"
[ $((FAILED + MISSING)) -eq 0 ]
