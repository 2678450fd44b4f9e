#!/usr/bin/env bash
# Everything that needs a GPU, from the repository's root, in the order of what must be known first: the tests for GPU, what
# a step is made of, packing with and without NVIDIA's Multi-Process Service, what training methods do on three data
# sets and stages on one, the campaigns of three data sets, then training beside plain loops, folds, alternatives,
# predicted hours and fidelity of a smaller input. Each part has a limit, and nothing is begun after SECONDS_IN_ALL. Run
# it again with the same OUT until it says that all is done: what is done or has failed is left out (OUT/NAME.failed;
# remove it to try again), what ran out of time is begun anew, save that studies, campaigns and fidelity go on. Afterwards
# OUT/studies.sqlite3 belongs into docs/results/methods, OUT/DATASET/campaign.sqlite3 into docs/results/DATASET, and the
# JSON files into docs/results/gpu; what is there is not measured again.
#
#   OUT=run SECONDS_IN_ALL=570 HPO_DATA_DIR=data benchmarks/gpu.sh
#
# OUT: folder for results. SECONDS_IN_ALL: of this call. WORKERS: on the GPU, 8 unless given. PARTS: the parts to run, such as
# "tests studies"; all, if it is not set. CREATE_ONLY: set, the part studies creates them and trains nothing. OPEN: why
# the campaigns may open their test sets, which stay sealed without.
set -uo pipefail
OUT=${OUT:-gpu-run}
SECONDS_IN_ALL=${SECONDS_IN_ALL:-570}
WORKERS=${WORKERS:-8}
PYTHON=${PYTHON:-python3}
STUDIES="sqlite:///$OUT/studies.sqlite3"
LEAST_SECONDS=20
MISSING=0
FAILED=0
mkdir -p "$OUT"
# Goes on from what was measured before and is in the repository.
[ -e "$OUT/studies.sqlite3" ] || cp docs/results/methods/studies.sqlite3 "$OUT/studies.sqlite3"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
END=$(($(date +%s) + SECONDS_IN_ALL))

# part NAME SECONDS COMMAND...: once, within its limit and the time left; its output goes to OUT/NAME.log.
part() {
    local name=$1 limit=$2 left
    shift 2
    [ -e "$OUT/$name.done" ] && return
    # Once measured is enough: what is committed is not measured again, unless it is named.
    [ -z "${PARTS:-}" ] && [ -e "docs/results/gpu/$name.json" ] && return
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
    if [ "$(type -t "$1")" = function ]; then
        "$@" >>"$OUT/$name.log" 2>&1
    else
        timeout --signal=INT --kill-after=20 "$limit" "$@" >>"$OUT/$name.log" 2>&1
    fi
    case $? in
    0) touch "$OUT/$name.done" && echo "$name: done" ;;
    124 | 130 | 137) echo "$name: out of time" && MISSING=$((MISSING + 1)) ;;
    *) touch "$OUT/$name.failed" && FAILED=$((FAILED + 1)) && echo "$name: failed; see $OUT/$name.log" ;;
    esac
}

# study NAME COMMAND...: created by the command, if it is not there.
study() {
    local name=$1
    shift
    [[ "$KNOWN" == *"\"$name\""* ]] || "$@" --on none --storage "$STUDIES"
}

# What training methods do, and what it brings to train one fold first: workers go from one study to the next.
studies() {
    KNOWN=$("$PYTHON" -m hpo studies --json --storage "$STUDIES")
    local methods=("$PYTHON" -m hpo methods) search=("$PYTHON" -m hpo launch --dataset breast --trials 60)
    study breast-methods "${methods[@]}" breast --seeds 1 --folds 3
    study breast-useful "${methods[@]}" breast geometric rigid full "sharpness-aware steps" adamw warm-up ema lion \
        AUCM "running class means" adam --seeds 3 --folds 3 --name breast-useful
    study breast-by-epochs "${search[@]}" --name breast-by-epochs --set search.rungs=epochs
    study breast-by-folds "${search[@]}" --name breast-by-folds --set search.rungs=folds
    study pneumonia-methods "${methods[@]}" pneumonia --seeds 1 --folds 3 --epochs 10
    study adrenal3d-methods "${methods[@]}" adrenal3d "running class means" AUCM adam ema flip rigid affine geometric \
        morphology elastic "tta flips" "14 pixels" progressive "sharpness-aware steps" "official selection" \
        --seeds 1 --folds 3 --epochs 10
    [ -n "${CREATE_ONLY:-}" ] && return
    HPO_STORAGE=$STUDIES OUT=$OUT WORKERS=$WORKERS PYTHON=$PYTHON SECONDS_IN_ALL=$((END - $(date +%s) - 10)) \
        benchmarks/with_mps.sh benchmarks/gpu_workers.sh breast-methods breast-useful breast-by-epochs breast-by-folds pneumonia-methods \
        adrenal3d-methods
}

training() {
    local name=$1 limit=$2
    shift 2
    part "$name" "$limit" "$PYTHON" benchmarks/training.py "$@" --device cuda --out "$OUT/$name.json"
}

# campaign DATASET [options of `hpo launch`]: its networks are too large to bring back, so they stay outside of OUT.
campaign() {
    local name=$1
    mkdir -p "$OUT/$name"
    [ -e "$OUT/$name/campaign.sqlite3" ] || cp "docs/results/$name/campaign.sqlite3" "$OUT/$name/" 2>/dev/null
    SECONDS_IN_ALL=$((END - $(date +%s) - 15)) DEVICE=cuda WORKERS=$WORKERS PYTHON=$PYTHON HPO_CHECKPOINT_DIR=none \
        SAVE_SECONDS=60 WORK=/tmp/hpo-campaign/$name KEEP=$OUT/$name benchmarks/with_mps.sh benchmarks/campaign.sh "$@"
}

mapfile -t TESTS < <(grep -rlE 'mark\.gpu' tests)
part tests 150 "$PYTHON" -m pytest -m gpu -rs --durations=10 "${TESTS[@]}"
part kernels-2d 40 "$PYTHON" benchmarks/kernels.py --out "$OUT/kernels-2d.json"
training packed-2d 90 packed --dataset breast --folds 3 --batch 32 --epochs 4 --at-once 1 4 8
training many-folds-2d 40 packed --dataset breast --folds 10 --batch 32 --epochs 4 --at-once 1
part packed-mps-2d 90 benchmarks/with_mps.sh "$PYTHON" benchmarks/training.py packed --dataset breast --folds 3 --batch 32 \
    --epochs 4 --at-once 1 4 8 12 --device cuda --out "$OUT/packed-mps-2d.json"
part studies "$SECONDS_IN_ALL" studies
part breast "$SECONDS_IN_ALL" campaign breast
part pneumonia "$SECONDS_IN_ALL" campaign pneumonia --trials 60
part adrenal3d "$SECONDS_IN_ALL" campaign adrenal3d --trials 40 --set scoring.folds=3 --set budget.epochs=30 \
    --set confirm.top=4 --set confirm.seeds=3
part kernels-3d 60 "$PYTHON" benchmarks/kernels.py --dataset adrenal3d --warm 1 --out "$OUT/kernels-3d.json"
training 2d 60 2d --epochs 6 --seeds 2
training 3d 60 3d --epochs 3 --seeds 1 --rows 1188
training folds-2d 60 folds --dataset breast --epochs 4
training folds-3d 90 folds --dataset adrenal3d --batch 32 --epochs 3 --rows 640
part alternatives-2d 120 "$PYTHON" benchmarks/alternatives.py 2d --device cuda --folds 5 --rounds 20
part alternatives-3d 120 "$PYTHON" benchmarks/alternatives.py 3d --device cuda --folds 5 --batch 32 --rounds 10
training packed-3d 120 packed --dataset adrenal3d --batch 32 --epochs 3 --rows 320 --at-once 1 2 4
training hours 60 hours --dataset adrenal3d --drawn 6
part hours-of-studies 60 "$PYTHON" benchmarks/study_hours.py measure --device cuda --out "$OUT/hours-of-studies.json"
part overhead 90 "$PYTHON" benchmarks/overhead.py --device cuda --epochs 10 --out "$OUT/overhead.json"
part fidelity 420 "$PYTHON" benchmarks/fidelity.py --out "$OUT/fidelity.jsonl" --sizes 14 20 28 --configurations 24 \
    --rows 1000 --scoring-rows 280 --epochs 30 --batch-size 32

if [ -e "$OUT/fidelity.jsonl" ]; then
    "$PYTHON" benchmarks/fidelity.py --out "$OUT/fidelity.jsonl" --report >"$OUT/fidelity.json"
fi
echo "$FAILED parts have failed, $MISSING ran out of time; run it again with OUT=$OUT for the latter"
[ $((FAILED + MISSING)) -eq 0 ]
