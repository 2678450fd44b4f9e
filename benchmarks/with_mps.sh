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
trap stop EXIT
if timeout 20 nvidia-cuda-mps-control -d >/dev/null &&
    timeout 60 "$PYTHON" -c 'import torch; torch.zeros(1, device="cuda").item()'; then
    echo "with_mps: the service runs" >&2
    (trap - INT; exec "$@") &
else
    echo "with_mps: the service does not work here, so processes take turns on the GPU" >&2
    tail -n 5 "$folder"/*.log >&2 2>/dev/null
    echo quit | timeout 20 nvidia-cuda-mps-control >/dev/null 2>&1
    (trap - INT; exec env -u CUDA_MPS_PIPE_DIRECTORY -u CUDA_MPS_LOG_DIRECTORY "$@") &
fi
# In the background, so that a signal to this script reaches the command at once; there Ctrl-C would be ignored.
command=$!
trap 'kill -TERM "$command" 2>/dev/null' TERM
trap 'kill -INT "$command" 2>/dev/null' INT
while kill -0 "$command" 2>/dev/null; do wait "$command"; done
wait "$command"
