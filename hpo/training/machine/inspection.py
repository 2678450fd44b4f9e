"""Print what PyTorch sees of a device, as JSON: `python -m hpo.training.machine.inspection DEVICE`.

Runs as a separate process, so that a driver that crashes, hangs or holds memory affects only that process.
"""

from __future__ import annotations

import json
import sys

import torch

from hpo.errors import DeviceError
from hpo.training.machine.description import Inspection
from hpo.training.machine.device import choose_device, describe_device, gpu_count


def inspect(option: str) -> Inspection:
    """Describe the device of an option. Raises DeviceError."""
    device = choose_device(option)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    return {
        **describe_device(device),
        "device": str(device),
        "free": free,
        "gpus": gpu_count(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


if __name__ == "__main__":
    try:
        print(json.dumps(inspect(sys.argv[1])))
    except DeviceError as error:
        sys.exit(str(error))
