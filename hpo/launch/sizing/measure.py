"""Find the number of workers per device that is fastest for a study: by a rule on a CPU, by measurement on a GPU."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from hpo.launch.devices import devices_of
from hpo.launch.probe import Probe
from hpo.launch.sizing.cache import Kept
from hpo.launch.sizing.representative import heaviest, typical
from hpo.launch.sizing.tuning import Capacity, MeasurementError, TunedWorkers, tune_workers
from hpo.launch.sizing.worker_pool import Crowd, WorkerPool
from hpo.study.spec import StudySpec
from hpo.text import counted, memory
from hpo.training.machine.limits import usable_cores, usable_memory
from hpo.training.probe.peak import Peak

if TYPE_CHECKING:
    from hpo.data.development import Development

_log = logging.getLogger(__name__)

SECONDS = 75.0
"""Seconds after which no larger number of workers is measured."""


def workers_per_device(spec: StudySpec, development: Development, device: str, probe: Probe) -> int:
    """Return the number of workers per device with the highest total throughput, at least 1; logs each step.

    On a CPU as many as cores and memory allow, because networks with a thread each do not disturb each other. On a GPU
    it is measured, or taken from the cache.

    Args:
        device: as on the command line; of several GPUs the first is measured.

    Raises:
        DeviceError.
    """
    devices = devices_of(device, probe.gpus(device))
    if not devices[0].startswith("cuda"):
        peak = probe.worker_bytes(heaviest(spec), development, spec.scoring.fold_count)
        number, limit = Capacity(usable_cores(), usable_memory()).most(Peak(peak))
        _log.info("room for %d worker%s; limit: %s", number, "s" if number > 1 else "", limit)
        return number
    return _workers_per_gpu(spec, development, devices, probe)


def _workers_per_gpu(spec: StudySpec, development: Development, devices: tuple[str, ...], probe: Probe) -> int:
    here = probe.surroundings(devices[0])
    capacity = Capacity(usable_cores(), usable_memory(), len(devices), here.memory, here.context)
    rehearsal = WorkerPool(typical(spec), heaviest(spec), development, spec.scoring, devices[0])
    circumstances = {
        **here.environment,
        "code": probe.code_version(),
        "room": repr(capacity),
        "data": development.md5,
        "scoring": spec.scoring.model_dump(),
        "typical": rehearsal.typical.model_dump(),
        "heaviest": rehearsal.heaviest.model_dump(),
    }
    kept = Kept(circumstances)
    if (found := kept.read()) is not None:
        for line in found.lines:
            _log.info(f"measured before: {line}")
        _log.info(f"{counted(found.workers, 'worker')} per device (cached); to measure again remove {kept.file}")
        return found.workers
    settled = _measure(rehearsal, capacity)
    if settled is None:
        _log.info("1 worker per device, because the measurement failed; give a number to use more")
        return 1
    where = f", cached in {kept.file}" if kept.write(settled) else ""
    _log.info(f"using {counted(settled.workers, 'worker')} per device{where}")
    return settled.workers


def _measure(rehearsal: WorkerPool, capacity: Capacity) -> TunedWorkers | None:
    until = time.monotonic() + SECONDS
    with Crowd(rehearsal) as crowd:
        try:
            peak = crowd.peak()
        except MeasurementError as trouble:
            _log.info(f"the memory of a trial could not be measured: {trouble}")
            return None
        of_gpu = f"{memory(peak.device)} of the GPU"
        _log.info(f"peak memory of a trial of the largest configuration: {memory(peak.main)} and {of_gpu}")
        settled = tune_workers(
            crowd.rate,
            capacity.most(peak),
            in_time=lambda: time.monotonic() < until,
        )
    return settled if settled.is_measured else None
