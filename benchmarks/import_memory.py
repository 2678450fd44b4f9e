"""Memory that `hpo data import` needs for each voxel of a volume while it reads it.

    python benchmarks/import_memory.py [--shape 256 256 150]      # needs nibabel; 10 seconds

Imports four NIfTI files of 16 bits, on one core and so one at a time, and four tiny ones: the difference of the peaks
of both processes by the number of voxels. `hpo.data.importing.pictures` decides by it how many are read at once.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np

TINY = (32, 32, 32)


def peak_bytes(shape: Sequence[int]) -> int:
    """Return the peak memory of an import of four volumes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = ["file,label,split"]
        random = np.random.default_rng(0)
        for number in range(4):
            voxels = random.integers(-1000, 1000, shape, dtype=np.int16)
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{number}.nii")  # type: ignore[attr-defined]
            rows.append(f"{number}.nii,{number % 2},{'train' if number < 2 else 'test'}")
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
        asked = [sys.executable, "-m", "hpo", "data", "import", name, "--labels", f"{name}/labels.csv"]
        run = subprocess.Popen(
            [*asked, "--out", f"{name}/out.npz"],
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
        )
        _, status, usage = os.wait4(run.pid, 0)
        if status:
            raise SystemExit(f"the import ended with {os.waitstatus_to_exitcode(status)}")
        return usage.ru_maxrss * 1024


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs=3, type=int, default=[256, 256, 150], metavar=("X", "Y", "Z"))
    shape = parser.parse_args().shape
    large, tiny = peak_bytes(shape), peak_bytes(TINY)
    each = (large - tiny) / (math.prod(shape) - math.prod(TINY))
    print(f"{' x '.join(map(str, shape))}: {large / 2**20:.0f} MiB at the peak, {each:.1f} bytes a voxel")


if __name__ == "__main__":
    main()
