"""What may be asked of a cluster, and what is asked if nothing is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.errors import UsageError
from hpo.launch.backends.slurm.plan import SlurmOptions, SlurmPlan, WorkerCommand, make_plan
from hpo.launch.backends.slurm.presets import PRESETS
from hpo.launch.backends.slurm.units import Gpus, read_gres, read_memory, read_time, write_time
from tests.mention import unmentioned

COMMAND = WorkerCommand(
    study="digits",
    address_file=Path("/scratch/me/logs/slurm/digits.address"),
    database_host="db1",
    data_dir=Path("/scratch/me/data"),
    checkpoint_dir="/scratch/me/checkpoints",
    log_dir=Path("/scratch/me/logs/slurm"),
)


def plan(**wishes: object) -> SlurmPlan:
    return make_plan(SlurmOptions(**wishes), COMMAND)


def refusal(**wishes: object) -> str:
    with pytest.raises(UsageError) as caught:
        plan(**wishes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("preset", "partition", "gpus", "seconds"),
    [
        ("grace", "gpu", Gpus("a100", 1), 86_400),
        ("faster", "gpu", Gpus("a100", 1), 86_400),
        ("aces", "gpu", Gpus("h100", 1), 86_400),
        ("launch", "gpu", Gpus("a30", 1), 86_400),
        ("generic", None, None, None),
    ],
)
def test_each_preset_asks_for_one_worker_on_one_gpu_for_a_day(
    preset: str, partition: str | None, gpus: Gpus | None, seconds: int | None
) -> None:
    made = plan(preset=preset)
    assert (made.partition, made.gpus, made.seconds) == (partition, gpus, seconds)
    assert (made.tasks, made.workers, made.cpus) == (1, 1, 4)


def test_presets_load_their_modules_and_generic_loads_none() -> None:
    assert plan(preset="grace").modules == ("GCCcore/13.2.0", "Python/3.11.5", "WebProxy")
    assert plan(preset="grace", modules="none").modules == ()
    assert plan(modules="GCC/12 Python/3.11").modules == ("GCC/12", "Python/3.11")
    assert plan().modules == ()


def test_a_job_has_so_many_workers_for_each_of_its_gpus_and_asks_for_their_cores_and_memory() -> None:
    made = plan(preset="grace", gres="gpu:t4:4", workers=8, workers_per_gpu=3)
    assert (made.tasks, made.workers, made.cpus, made.memory) == (8, 12, 48, "96G")


def test_a_job_that_is_to_measure_asks_for_cores_and_memory_of_four_workers_on_each_gpu() -> None:
    made = plan(preset="grace", gres="gpu:a100:2", workers_per_gpu="auto")
    assert (made.tasks, made.per_device, made.cpus, made.memory) == (1, "auto", 32, "64G")


def test_the_number_of_jobs_is_not_measured() -> None:
    assert unmentioned(refusal(workers="auto"), "--workers auto", "--workers-per-gpu auto") == []


def test_a_partition_without_gpus_asks_for_none() -> None:
    assert plan(preset="aces", partition="cpu").gpus is None


def test_the_default_walltime_stays_within_a_short_partition() -> None:
    assert plan(preset="aces", partition="gpu_debug").seconds == 7200


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        ({"preset": "faster", "time": "3-00"}, ["--time 3-00:00:00", "2-00:00:00", "gpu"]),
        ({"preset": "aces", "partition": "gpu_debug", "time": "02:00:01"}, ["--time", "02:00:00", "gpu_debug"]),
        ({"preset": "grace", "gres": "gpu:a100:3"}, ["--gres gpu:a100:3", 2]),
        ({"preset": "grace", "gres": "gpu:a40"}, ["--gres", "gpu:a40", "gpu", "gpu-a40"]),
        ({"preset": "launch", "gres": "gpu:1"}, ["--gres gpu:1", "a30"]),
        ({"preset": "aces", "partition": "cpu", "gres": "gpu:h100"}, ["--gres", "gpu:h100", "cpu"]),
        ({"gres": "a100"}, ["--gres", "a100", "gpu:TYPE:COUNT"]),
        ({"gres": "gpu:a100:0"}, ["--gres", "gpu:a100:0", "gpu:TYPE:COUNT"]),
        ({"preset": "grace", "cpus": 49}, ["--cpus 49", 48]),
        ({"cpus": 2, "workers_per_gpu": 3}, ["--cpus 2", 3]),
        ({"preset": "faster", "memory": "241G"}, ["--memory 241G", "240 GB"]),
        ({"memory": "lots"}, ["--memory", "lots", "16G"]),
        ({"time": "tomorrow"}, ["--time", "tomorrow", "HOURS:MINUTES:SECONDS", "DAYS-HOURS"]),
        ({"time": "3", "warn": 120}, ["--time 00:03:00", 120, "--warn"]),
        ({"preset": "grace", "account": "mine"}, ["--account", "mine", 12]),
        ({"account": "x; rm -rf /"}, ["--account", "x; rm -rf /"]),
        ({"partition": "a b"}, ["--partition", "a b"]),
        ({"modules": "Python/3.11 $(date)"}, ["--modules", "$(date)"]),
        ({"venv": "/nowhere/venv"}, ["--venv /nowhere/venv", "bin/activate"]),
        ({"preset": "grace", "one_node": True}, ["--one-node"]),
        ({"mail": "me,you"}, ["--mail", "me,you", "address"]),
        ({"mail": "me x"}, ["--mail", "me x"]),
        ({"mail": "me", "mail_type": "END,FAILS"}, ["--mail-type", "FAILS", "FAIL"]),
        ({"mail_type": "BEGIN"}, ["--mail-type BEGIN", "--mail"]),
        ({"preset": "gracee"}, ["--preset gracee", "grace"]),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_what_a_cluster_would_not_grant_is_refused_with_what_it_has(
    wishes: dict[str, object], named: list[object]
) -> None:
    assert unmentioned(refusal(**wishes), *named) == []


def test_every_fault_is_reported_at_once() -> None:
    told = refusal(preset="grace", gres="gpu:h100", time="8-00", cpus=100, account="me")
    assert unmentioned(told, "TAMU HPRC Grace", "--gres gpu:h100", "--time 8-00:00:00", "--cpus 100", "--account") == []


def test_workers_run_with_this_python_or_with_that_of_their_environment(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").write_text("")
    assert plan().python == sys.executable
    made = plan(venv=str(tmp_path), setup=("ulimit -c 0",))
    assert made.python == str(tmp_path / "bin" / "python")
    assert made.setup == (f"source {tmp_path}/bin/activate", "ulimit -c 0")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("2:00:00", 7200),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("2-00:00:01", 172_801),
    ],
)
def test_every_form_of_a_walltime_is_read(text: str, seconds: int) -> None:
    assert read_time(text) == seconds
    assert read_time(write_time(seconds)) == seconds


def test_memory_and_gpus_are_read_as_slurm_writes_them() -> None:
    assert [read_memory(text) for text in ("500", "500M", "16G", "16gb", "1T")] == [500, 500, 16384, 16384, 1_048_576]
    assert [str(read_gres(text)) for text in ("gpu", "gpu:2", "gpu:a100", "gpu:a100:2")] == [
        "gpu:1",
        "gpu:2",
        "gpu:a100:1",
        "gpu:a100:2",
    ]
    assert read_gres("none") is None


def test_the_first_partition_and_gpu_of_every_preset_can_be_asked_for() -> None:
    for name, preset in PRESETS.items():
        for partition, limits in preset.partitions.items():
            made = plan(preset=name, partition=partition, time=write_time(limits.seconds))
            assert made.seconds == limits.seconds
            assert made.partition == partition
