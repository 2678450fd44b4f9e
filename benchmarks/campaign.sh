#!/usr/bin/env bash
# The whole way of a data set as it ships: search, confirmation, final networks, and where OPEN gives a reason the test set and the report.
# Goes on where it was stopped, on any machine: its database is kept in docs/results, and saved there every five
# minutes and at the end. Ctrl-C or the end of HOURS stop it cleanly. Exit code 0: all is done, 124: some is left.
#
#   HOURS=2.5 benchmarks/campaign.sh DATASET|STUDY.toml [options of `hpo launch`]
#
# HOURS, or SECONDS_IN_ALL: of this call, 2.5 hours unless given. WORKERS: 1 unless given, on a CPU one thread each, at low priority. DEVICE: cpu
# unless given. OPEN: why the test set may be opened now; without it the networks are trained and it stays sealed.
# LEAST_SECONDS: no stage begins with fewer, 10 unless given.
# KEEP: folder of database and results, docs/results/DATASET unless given. WORK: folder of the running database, logs,
# checkpoints and networks, campaign-run/DATASET unless given; what is there goes before what is in KEEP.
set -uo pipefail
SET=$1
shift
NAME=$(basename "$SET" .toml)
ROOT=$(cd "$(dirname "$0")/.." && pwd)
DEVICE=${DEVICE:-cpu}
WORK=${WORK:-$ROOT/campaign-run/$NAME}
KEEP=${KEEP:-$ROOT/docs/results/$NAME}
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
SECONDS_IN_ALL=${SECONDS_IN_ALL:-$("$PYTHON" -c "print(round(3600 * ${HOURS:-2.5}))")} || exit 2
END=$(($(date +%s) + SECONDS_IN_ALL))
LEAST_SECONDS=${LEAST_SECONDS:-10}
mkdir -p "$WORK" "$KEEP"
export HPO_STORAGE=sqlite:///$WORK/campaign.sqlite3
export HPO_CHECKPOINT_DIR=${HPO_CHECKPOINT_DIR:-$WORK/checkpoints}
# By another name first: half a copy would go before the whole one in KEEP.
[ -e "$WORK/campaign.sqlite3" ] || [ ! -e "$KEEP/campaign.sqlite3" ] ||
    { cp "$KEEP/campaign.sqlite3" "$WORK/campaign.$$" && mv "$WORK/campaign.$$" "$WORK/campaign.sqlite3"; } || exit 1

save() {
    [ -e "$WORK/campaign.sqlite3" ] || return 0
    # A name of this call's own: another one may save to the same folder.
    local part=$KEEP/campaign.$BASHPID.part
    "$PYTHON" -m hpo db backup "$part" >/dev/null && mv "$part" "$KEEP/campaign.sqlite3" || rm -f "$part"
}

(while sleep "${SAVE_SECONDS:-300}"; do save; done) &
saver=$!
finish() {
    trap '' INT TERM
    kill "$saver" 2>/dev/null
    wait "$saver" 2>/dev/null
    [ -e "$WORK/campaign.sqlite3" ] || return
    save
    echo "campaign: $KEEP/campaign.sqlite3 has everything so far; commit it"
    "$PYTHON" -m hpo status "$NAME"
}
trap finish EXIT

# `timeout` makes a process group of its own, which Ctrl-C at a terminal does not reach: it is passed on.
job=
stopped=
stop() {
    stopped=yes
    [ -z "$job" ] || kill -INT "$job" 2>/dev/null
}
trap stop INT TERM

# stage COMMAND...: of hpo, within the time that is left.
stage() {
    local left=$((END - $(date +%s)))
    [ "$left" -lt "$LEAST_SECONDS" ] && exit 124
    echo "campaign: hpo $1, at most $left s"
    [ -z "$stopped" ] || exit 124
    timeout --signal=INT --kill-after=180 "$left" nice -n 19 "$PYTHON" -m hpo "$@" &
    job=$!
    while kill -0 "$job" 2>/dev/null; do wait "$job"; done
    wait "$job"
    code=$?
    job=
    [ -z "$stopped" ] || exit 124
    case $code in
    0) ;;
    124 | 130 | 137) exit 124 ;;
    *) exit "$code" ;;
    esac
}

common=(--workers "${WORKERS:-1}" --device "$DEVICE" --log-dir "$WORK/logs" --yes)
stage launch "$SET" "$@" --name "$NAME" "${common[@]}"
stage confirm "$NAME" "${common[@]}"
stage finalize "$NAME" "${common[@]}" --results "$WORK/results" --train-only
[ -n "${OPEN:-}" ] || exit 0
stage finalize "$NAME" "${common[@]}" --results "$WORK/results" --reopen "$OPEN"
stage report "$NAME" --results "$WORK/results"
mkdir -p "$KEEP/campaign"
for part in "$WORK"/results/*; do
    [ "$(basename "$part")" = models ] || cp -r "$part" "$KEEP/campaign/"
done
