"""How many workers a device bears: on a CPU what fits, on a GPU as long as they pay, and remembered."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from hpo.data.development import Development, load_development
from hpo.launch.probe import Probe, Surroundings
from hpo.launch.sizing import measure, worker_pool
from hpo.launch.sizing.cache import Kept, cache_folder
from hpo.launch.sizing.representative import heaviest, timed, typical
from hpo.launch.sizing.tuning import Capacity, MeasurementError, TunedWorkers, ladder, tune_workers
from hpo.launch.sizing.worker_pool import Crowd, Pace, WorkerPool
from hpo.study.baselines import baselines
from hpo.study.config import TrainConfig
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.plan import Candidate, Plan
from hpo.training.probe.peak import Peak
from tests.forked import PROCESSES
from tests.launch import member
from tests.mention import numbers_in, unmentioned

GIB = 2**30
FREE = (64, "a core for each worker")


def test_numbers_double_up_to_the_largest_that_fits() -> None:
    assert [ladder(most) for most in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


def test_more_are_taken_as_long_as_they_train_a_tenth_more() -> None:
    rates = {1: 100.0, 2: 111.0, 4: 121.0, 8: 500.0}
    settled = tune_workers(rates.__getitem__, FREE)
    assert settled.workers == 2
    # How many workers, their rows a second, and how many times those of how many that is.
    found = [{1, 100}, {2, 111, 1.11, 1}, {4, 121, 1.09, 2}]
    assert [set(numbers_in(line)) for line in settled.lines] == found


def test_the_largest_that_fits_is_taken_if_each_step_pays_and_what_forbids_more_is_reported() -> None:
    settled = tune_workers(lambda count: 10.0 * count, (6, "a core for each worker"))
    assert settled.workers == 6
    assert "a core for each worker" in settled.lines[-1]


def test_what_cannot_be_measured_ends_the_search_at_what_could() -> None:
    def rate(count: int) -> float:
        if count == 4:
            raise MeasurementError("no room")
        return 10.0 * count

    settled = tune_workers(rate, FREE)
    assert (settled.workers, settled.is_measured) == (2, True)
    assert unmentioned(settled.lines[-1], 4, "no room") == []


def test_without_any_measurement_it_is_one() -> None:
    def rate(count: int) -> float:
        raise MeasurementError("no room")

    settled = tune_workers(rate, FREE)
    assert (settled.workers, settled.is_measured) == (1, False)


def test_no_larger_number_is_begun_when_the_time_is_over() -> None:
    settled = tune_workers(lambda count: 10.0 * count, FREE, in_time=iter([True, False]).__next__)
    assert settled.workers == 2


@pytest.mark.parametrize(
    ("room", "held", "most"),
    [
        (Capacity(cores=4, main=None), Peak(GIB), 4),
        (Capacity(cores=64, main=10 * GIB), Peak(2 * GIB), 4),  # 0.8 * 10 / 2
        (Capacity(cores=64, main=GIB), Peak(2 * GIB), 1),
        (Capacity(cores=64, main=100 * GIB, devices=2), Peak(4 * GIB), 10),  # 0.8 * 100 / 4 / 2
        (
            Capacity(cores=64, main=None, gpu=16 * GIB, context=GIB // 2),
            Peak(GIB, 2 * GIB),
            5,
        ),  # 0.95 * 16 / (2.1 + 0.5)
        (Capacity(cores=2, main=None, devices=4), Peak(GIB), 1),
    ],
)
def test_cores_and_memory_bound_the_number(room: Capacity, held: Peak, most: int) -> None:
    assert room.most(held)[0] == most


def test_a_gpu_s_workers_get_at_least_what_they_were_counted_with() -> None:
    """The part of `limit_memory`: 0.95 of the GPU divided among them, less the context of each."""
    room, held = Capacity(cores=64, main=None, gpu=16 * GIB, context=GIB // 2), Peak(GIB, 2 * GIB)
    count, _ = room.most(held)
    assert 0.95 * 16 * GIB / count - room.context >= held.device


def test_the_typical_configuration_is_in_the_middle_and_the_heaviest_at_the_end_of_the_space() -> None:
    spec = load_spec(builtin_study_file("breast"), ("space.batch_size.choices=[16,32,64]", "search.references=false"))
    middle, end = typical(spec), heaviest(spec)
    assert (middle.batch_size, end.batch_size) == (32, 64)
    assert (end.optimizer, end.weight_average) == ("adam", "ema")
    assert middle.learning_rate == pytest.approx((1e-4 * 0.3) ** 0.5)


def test_what_takes_as_much_memory_as_another_choice_stands_for_it() -> None:
    changes = (
        'space.optimizer.choices=["sgd", "lion", "adamw"]',
        'space.weight_average.choices=["none", "cycles"]',
        'space.loss.choices=["aucm_v2", "compositional"]',
        "space.sam.low=0.0",
        "space.sam.high=0.2",
    )
    end = heaviest(load_spec(builtin_study_file("breast"), changes))
    assert (end.optimizer, end.weight_average, end.loss, end.sam) == ("adamw", "cycles", "compositional", 0.2)


@pytest.mark.parametrize(
    ("name", "choices", "heaviest_one"),
    [
        # Epoch decay keeps reference weights and a sum of weights.
        ("loss", ["cross_entropy", "aucm_v2"], "aucm_v2"),
        ("loss", ["focal", "pauc", "compositional"], "compositional"),
        ("network", ["resnet18_narrow", "resnet18"], "resnet18"),
    ],
)
def test_the_heaviest_need_not_be_the_first_choice(name: str, choices: list[str], heaviest_one: str) -> None:
    changes = (f"space.{name}.choices={json.dumps(choices)}", "search.references=false")
    assert getattr(heaviest(load_spec(builtin_study_file("breast"), changes)), name) == heaviest_one


def test_the_references_count_among_the_heaviest() -> None:
    spec = load_spec(builtin_study_file("breast"), ("space.batch_size.choices=[16,32]",))
    assert heaviest(spec).batch_size == 128


def test_the_epoch_that_is_timed_is_a_baseline_s_with_the_input_and_the_views_of_the_study() -> None:
    spec = load_spec(builtin_study_file("breast"), ("space.input_size.choices=[14,20,28]", "fixed.tta=flips"))
    config, baseline = timed(spec), next(iter(baselines(spec).values()))
    assert (config.input_size, config.tta) == (20, "flips")
    assert config.model_copy(update={"input_size": 28, "tta": "none"}) == baseline


class TestKept:
    """Findings are found again under equal circumstances, and a damaged file is as none."""

    def test_equal_circumstances_find_what_was_settled(self, tmp_path: Path) -> None:
        settled = TunedWorkers(3, ("a line",))
        assert Kept({"torch": "2", "cores": 4}, tmp_path).write(settled)
        assert Kept({"cores": 4, "torch": "2"}, tmp_path).read() == settled
        assert Kept({"cores": 8, "torch": "2"}, tmp_path).read() is None

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"workers": 0, "lines": []}', '{"workers": "2", "lines": []}'])
    def test_a_damaged_file_is_ignored_and_written_anew(self, tmp_path: Path, content: str) -> None:
        kept = Kept({}, tmp_path)
        kept.file.write_text(content)
        assert kept.read() is None
        assert kept.write(TunedWorkers(2, ()))
        assert kept.read() == TunedWorkers(2, ())

    def test_a_folder_that_cannot_be_made_is_no_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert not Kept({}, tmp_path / "file" / "folder").write(TunedWorkers(1, ()))

    def test_the_folder_is_that_of_caches(self) -> None:
        assert cache_folder({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/hpo/packing")
        assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path("~/.cache/hpo/packing").expanduser()


def test_a_process_is_measured_when_all_are_warm_and_trains_on_until_all_have_been() -> None:
    """Steps of 10 rows each second: 4 seconds are measured from the word to go, whatever scoring lies between."""
    here, there = multiprocessing.Pipe()
    now = 0.0
    pace = Pace(there, clock=lambda: now)
    assert all(pace.more(rows) for rows in (10.0, 20.0))
    assert here.recv() == ("warm", None)
    here.send("go")
    for second in range(8):
        now = float(second)
        assert pace.more(30.0 + 10 * second)
        assert pace.more(30.0 + 10 * second)
    assert here.recv() == ("rate", pytest.approx(10.0))
    assert not here.poll()
    here.send("stop")
    assert not pace.more(200.0)


def rehearsal() -> WorkerPool:
    spec = load_spec(builtin_study_file("digits"), ("scoring.rows=holdout",))
    development = load_development(spec.data, Path("unused"))
    middle, end = (config.model_copy(update={"network": "linear"}) for config in (typical(spec), heaviest(spec)))
    return WorkerPool(middle, end, development, spec.scoring, "cpu")


@pytest.fixture
def patient(linear_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are forked, train three steps each, and are waited for."""
    monkeypatch.setattr(worker_pool, "PATIENCE", 600.0)
    monkeypatch.setattr(worker_pool, "multiprocessing", SimpleNamespace(get_context=lambda _: PROCESSES))
    monkeypatch.setattr(worker_pool, "_member", member.member)


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_two_processes_train_and_tell_memory_and_rate() -> None:
    with Crowd(rehearsal()) as made:
        assert 150e6 < made.peak().main < 4e9
        assert made.rate(1) > 0
        assert made.rate(2) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_a_process_that_is_killed_while_it_is_measured_is_a_sentence() -> None:
    with Crowd(rehearsal()) as made:
        made._grow(1)
        made._members[0][0].kill()
        with pytest.raises(MeasurementError) as caught:
            made.rate(1)
    # Not the patience, whose seconds would be named.
    assert numbers_in(caught.value) == []


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_a_process_that_fails_says_why() -> None:
    odd = rehearsal()
    elsewhere = WorkerPool(odd.typical, odd.heaviest, odd.development, odd.scoring, "cuda:99")
    with Crowd(elsewhere) as made, pytest.raises(MeasurementError) as caught:
        made.rate(1)
    assert unmentioned(caught.value, "DeviceError", "cuda:99") == []


class FakeCrowd:
    """Trains 10 rows a second in each process, up to four of them."""

    asked: ClassVar[list[int]] = []

    def __init__(self, rehearsal: WorkerPool) -> None:
        self.rehearsal = rehearsal

    def __enter__(self) -> FakeCrowd:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def peak(self) -> Peak:
        return Peak(GIB, GIB)

    def rate(self, count: int) -> float:
        self.asked.append(count)
        return 10.0 * min(count, 4)


class FakeProbe(Probe):
    """A machine with one GPU, on which a CPU's worker needs 3 GiB."""

    def __init__(self) -> None:
        pass

    def gpus(self, device: str) -> int:
        return 1

    def worker_bytes(self, config: TrainConfig, development: Development, folds: int) -> int:
        return 3 * GIB

    def code_version(self) -> str:
        return "abc"

    def surroundings(self, device: str) -> Surroundings:
        return Surroundings("cuda", 64 * GIB, 0, {"torch": "2"})


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCrowd.asked = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measure, "Crowd", FakeCrowd)
    monkeypatch.setattr(measure, "usable_cores", lambda: 8)
    monkeypatch.setattr(measure, "usable_memory", lambda: 64 * GIB)


def found(device: str = "auto") -> int:
    spec = load_spec(builtin_study_file("digits"), ())
    development = load_development(spec.data, Path("unused"))
    return measure.workers_per_device(spec, development, device, FakeProbe())


@pytest.mark.parametrize(("main", "workers"), [(64, 8), (20, 5), (2, 1)])
@pytest.mark.usefixtures("machine")
def test_a_cpu_gets_as_many_as_cores_and_memory_bear_without_any_measurement(
    monkeypatch: pytest.MonkeyPatch, main: int, workers: int, log: list[str]
) -> None:
    """Three GiB each, in 0.8 of the main memory."""
    monkeypatch.setattr(measure, "usable_memory", lambda: main * GIB)
    assert found("cpu") == workers
    assert FakeCrowd.asked == []
    assert not cache_folder().exists()
    assert numbers_in(log[0])[0] == workers


@pytest.mark.usefixtures("machine")
def test_what_was_found_is_reported_and_the_next_launch_finds_it_again(log: list[str]) -> None:
    assert found() == 4
    assert FakeCrowd.asked == [1, 2, 4, 8]
    assert unmentioned(log[0], "1.0 GiB") == []
    (kept,) = cache_folder().iterdir()
    assert unmentioned(log[-1], 4, kept) == []
    before = log.copy()
    log.clear()
    assert found() == 4
    assert FakeCrowd.asked == [1, 2, 4, 8]
    assert all(line in again for line, again in zip(before[1:-1], log[:-1], strict=True))
    assert unmentioned(log[-1], 4, kept) == []


@pytest.mark.usefixtures("machine")
def test_a_memory_that_cannot_be_measured_means_one_worker_and_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    def peak(self: FakeCrowd) -> Peak:
        raise MeasurementError("no room")

    monkeypatch.setattr(FakeCrowd, "peak", peak)
    assert found() == 1
    assert len(log) == 2
    assert "no room" in log[0]
    assert not (tmp_path / "hpo").exists()


def test_a_crowd_waits_no_longer_than_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "PATIENCE", 0.05)
    here, _there = multiprocessing.Pipe()
    with pytest.raises(MeasurementError):
        worker_pool._answer(here, "warm")


def test_the_candidates_of_a_plan_count_among_the_heaviest() -> None:
    spec = load_spec(builtin_study_file("breast"))
    large = Candidate(name="large", config=TrainConfig(input_size=56, co_training="chest"), base="r", method="m")
    planned = Plan(search="", candidates=(Candidate(name="r", config=TrainConfig()), large), top=1, racing_level=0)
    found = heaviest(spec.model_copy(update={"plan": planned}))
    assert (found.input_size, found.co_training) == (56, "chest")


def test_the_heaviest_configuration_trains_on_the_largest_other_datasets() -> None:
    choices = 'space.co_training.choices=["none", "pneumonia", "chest"]'
    assert heaviest(load_spec(builtin_study_file("breast"), (choices,))).co_training == "chest"
