"""`workers_per_device`: measured on this machine for a study, or as found before."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from hpo.launch.backends.local import devices_of
from hpo.launch.probe import Probe
from hpo.launch.sizing.cache import Kept
from hpo.launch.sizing.representative import heaviest, typical
from hpo.launch.sizing.tuning import Capacity, MeasurementError, TunedWorkers, tune_workers
from hpo.launch.sizing.worker_pool import Crowd, WorkerPool
from hpo.study.spec import StudySpec
from hpo.text import memory
from hpo.training.machine.limits import usable_cores, usable_memory

if TYPE_CHECKING:
    from hpo.data.development import Development

_log = logging.getLogger(__name__)

SECONDS = 75.0
"""After so long no larger number of workers is begun to be measured."""


def workers_per_device(spec: StudySpec, development: Development, device: str, probe: Probe) -> int:
    """How many workers on each device do the most together, at least 1; `say` takes a line for each thing found.

    device: as on the command line; the first of several GPUs is measured. Raises DeviceError.
    """
    devices = devices_of(device, probe.gpus(device))
    first = devices[0]
    here = probe.surroundings(first)
    cores, main = usable_cores(), usable_memory()
    gpu = None if here.kind == "cpu" else here.memory
    room = Capacity(cores, main, len(devices), gpu, here.context)
    rehearsal = WorkerPool(typical(spec), heaviest(spec), development, spec.scoring, first)
    circumstances = {
        **here.environment,
        "code": probe.code_version(),
        "room": repr(room),
        "data": development.md5,
        "scoring": spec.scoring.model_dump(),
        "typical": rehearsal.typical.model_dump(),
        "heaviest": rehearsal.heaviest.model_dump(),
    }
    kept = Kept(circumstances)
    if (found := kept.read()) is not None:
        for line in found.lines:
            _log.info(f"found before: {line}")
        _log.info(f"{found.workers} on each device; to measure anew remove {kept.file}")
        return found.workers
    settled = _measure(rehearsal, room)
    if settled is None:
        _log.info("one worker on each device, then, since nothing could be measured; give a number to have more")
        return 1
    where = f", kept in {kept.file}" if kept.write(settled) else ""
    _log.info(f"settled on {settled.workers} on each device{where}")
    return settled.workers


def _measure(rehearsal: WorkerPool, room: Capacity) -> TunedWorkers | None:
    until = time.monotonic() + SECONDS
    cores = max(1, room.cores // room.devices)
    with Crowd(rehearsal) as crowd:
        try:
            peak = crowd.peak(cores)
        except MeasurementError as trouble:
            _log.info(f"the memory of a trial could not be measured: {trouble}")
            return None
        of_gpu = f" and {memory(peak.device)} of the GPU" if peak.device else ""
        _log.info(f"a trial of the largest configuration holds {memory(peak.main)}{of_gpu}")
        settled = tune_workers(
            lambda count: crowd.rate(count, max(1, cores // count)),
            room.most(peak),
            in_time=lambda: time.monotonic() < until,
        )
    return settled if settled.is_measured else None
