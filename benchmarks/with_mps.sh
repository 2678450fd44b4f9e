#!/usr/bin/env bash
# Runs a command whose processes share a GPU under NVIDIA's Multi-Process Service, so that their kernels run at the same
# time instead of in turns; where the service is missing or does not work, it says so and runs the command without. The
# service is this call's own, in a folder of its own, ends with it, and changes no setting of the GPU.
#
#   benchmarks/with_mps.sh COMMAND...
set -uo pipefail
PYTHON=${PYTHON:-python3}
# Pipes have a limited length of path, so not in OUT.
folder=$(mktemp -d /tmp/mps.XXXXXX)

stop() {
    echo quit | timeout 20 nvidia-cuda-mps-control >/dev/null 2>&1
    rm -rf "$folder"
}

if ! command -v nvidia-cuda-mps-control >/dev/null; then
    echo "with_mps: no nvidia-cuda-mps-control here, so processes take turns on the GPU" >&2
    rm -rf "$folder"
    exec "$@"
fi
export CUDA_MPS_PIPE_DIRECTORY=$folder CUDA_MPS_LOG_DIRECTORY=$folder

# The command and a warden have process groups of their own. Ctrl-C, which a terminal sends to all of this script's
# group, thus reaches the command once, from here. The warden reads a pipe that ends with this script, also when
# `timeout --kill-after` kills its group: then it kills what is left of the command, and stops the service in any case.
mkfifo "$folder/lives"
set -m
(
    trap '' INT TERM HUP
    group=
    while read -r line; do group=$line; done
    [ -z "$group" ] || kill -KILL -- "-$group" 2>/dev/null
    stop
) <"$folder/lives" &
warden=$!
set +m
exec {lives}>"$folder/lives"
end() {
    exec {lives}>&-
    wait "$warden"
}
trap end EXIT

if timeout 20 nvidia-cuda-mps-control -d >/dev/null {lives}>&- &&
    timeout 60 "$PYTHON" -c 'import torch; torch.zeros(1, device="cuda").item()'; then
    echo "with_mps: the service runs" >&2
    service=(env)
else
    echo "with_mps: the service does not work here, so processes take turns on the GPU" >&2
    tail -n 5 "$folder"/*.log >&2 2>/dev/null
    echo quit | timeout 20 nvidia-cuda-mps-control >/dev/null 2>&1
    service=(env -u CUDA_MPS_PIPE_DIRECTORY -u CUDA_MPS_LOG_DIRECTORY)
fi
set -m
"${service[@]}" "$@" </dev/null {lives}>&- &
command=$!
set +m
echo "$command" >&"$lives"

# `timeout` sends its signal to its child and again to the group: the same one within half a second is passed on once.
passed=
when=0
pass() {
    local now=${EPOCHREALTIME/[.,]/}
    [ "$passed" = "$1" ] && [ $((now - when)) -lt 500000 ] && return
    passed=$1 when=$now
    kill "-$1" -- "-$command" 2>/dev/null
}
trap 'pass INT' INT
trap 'pass TERM' TERM
trap 'pass HUP' HUP
while kill -0 "$command" 2>/dev/null; do wait "$command"; done
wait "$command"
code=$?
# Has ended by itself: what it may have left behind in its group stays.
echo >&"$lives"
exit "$code"
