"""Device, precision, and what is said about them."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
import torch

from hpo.errors import DeviceError
from hpo.revision import code_version
from hpo.training.machine import device, limits
from hpo.training.machine.device import (
    choose_device,
    choose_machine,
    describe_device,
    gpu_count,
    one_thread,
    peak_memory_bytes,
    set_up_process,
)
from hpo.training.machine.limits import process_cores
from hpo.training.machine.provenance import environment
from hpo.training.model.resnet import resnet18
from tests.forked import printed_by
from tests.mention import unmentioned

CPU = torch.device("cpu")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a CUDA device")


@without_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert choose_device("auto") == choose_device("cpu") == CPU
    assert gpu_count() == 0


@without_gpu
@pytest.mark.parametrize("option", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused_in_one_sentence(option: str) -> None:
    with pytest.raises(DeviceError) as refused:
        choose_device(option)
    assert unmentioned(refused.value, option, "auto", "cpu") == []
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("option", ["tpu", "cuda:x", "cpu:0", "", "cuda:-1"])
def test_an_unknown_device_is_refused_with_the_legal_ones(option: str) -> None:
    with pytest.raises(DeviceError) as refused:
        choose_device(option)
    assert unmentioned(refused.value, *([option] if option else []), "auto", "cpu", "cuda", "cuda:N") == []


def test_precision_is_as_asked_and_the_layout_follows_the_dimensions() -> None:
    assert choose_machine(CPU, 2, "fp32").dtype == torch.float32
    assert choose_machine(CPU, 2, "bf16").dtype == torch.bfloat16
    network = resnet18(2, 1, seed=0)
    choose_machine(CPU, 2, "fp32").place(network)
    assert network.blocks[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("tiles", "precision", "layout"),
    [
        (True, "bf16", torch.channels_last_3d),
        (True, "fp32", torch.contiguous_format),
        (False, "bf16", torch.contiguous_format),
    ],
)
def test_3d_is_channels_last_on_a_cpu_where_amx_computes(
    monkeypatch: pytest.MonkeyPatch, tiles: bool, precision: Literal["bf16", "fp32"], layout: torch.memory_format
) -> None:
    monkeypatch.setattr(device, "has_tiles", lambda: tiles)
    assert choose_machine(CPU, 3, precision).memory_format == layout


def test_bf16_is_measured_on_one_thread_and_the_others_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before, asked = torch.get_num_threads(), []
    set_number = torch.set_num_threads

    def asked_for(number: int) -> None:
        asked.append(number)
        set_number(number)

    monkeypatch.setattr(torch, "set_num_threads", asked_for)
    assert device.time_in_bf16.__wrapped__() > 0
    assert asked == [1, before]
    assert torch.get_num_threads() == before


def test_a_device_is_described() -> None:
    described = describe_device(CPU)
    assert described == describe_device("cpu")
    assert set(described) == {"name", "cores", "memory", "precision"}
    assert described["precision"] in ("bf16", "fp32")
    assert peak_memory_bytes("cpu") > 50e6


def test_a_process_computes_with_one_thread_and_trains_on_the_cores_it_is_given(
    monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    monkeypatch.setattr(limits, "usable_cores", lambda: 7)
    monkeypatch.setattr(limits, "_cores", None)
    set_up_process(3)
    assert (torch.get_num_threads(), process_cores(), describe_device(CPU)["cores"]) == (1, 3, 3)
    set_up_process(None)
    assert (torch.get_num_threads(), process_cores(), describe_device(CPU)["cores"]) == (1, 7, 7)


def test_one_thread_holds_inside_and_for_new_threads_and_the_callers_number_comes_back(two_threads: None) -> None:
    with one_thread(), ThreadPoolExecutor(1) as other:
        assert torch.get_num_threads() == other.submit(torch.get_num_threads).result() == 1
    with ThreadPoolExecutor(1) as other:
        assert torch.get_num_threads() == other.submit(torch.get_num_threads).result() == 2


def test_the_environment_names_the_one_thread_of_a_network_and_the_cores(
    monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    monkeypatch.setattr(limits, "_cores", 5)
    found = environment(CPU)
    assert (found["threads"], found["device cores"]) == ("1", "5")


def test_the_environment_is_text_and_names_the_packages() -> None:
    found = environment("cpu")
    assert all(isinstance(value, str) and value for value in found.values())
    assert found["libauc"] == "2.0.1"
    assert {"python", "platform", "torch", "hpo", "device name", "device precision"} <= set(found)


def test_the_code_version_is_a_commit_in_a_checkout() -> None:
    commit, dirty = code_version()
    assert re.fullmatch(r"[0-9a-f]{40}|\d+\.\d+.*", commit)
    assert isinstance(dirty, bool)


@pytest.mark.slow
@pytest.mark.linux
def test_a_trial_begins_with_what_earlier_ones_freed_given_back_and_its_own_peak() -> None:
    """In a process of its own, since the allocator's settings stay: 400 MB in blocks of 40 KB, every block freed."""
    code = (
        "import torch\n"
        "from hpo.training.machine.device import *\n"
        "set_up_process(1)\n"
        "cpu = torch.device('cpu')\n"
        "before = peak_memory_bytes(cpu)\n"
        "held = [torch.ones(10_000) for _ in range(10_000)]\n"
        "full = peak_memory_bytes(cpu)\n"
        "keep = held[::100]\n"
        "del held\n"
        "start_of_trial(cpu)\n"
        "print(full - before, peak_memory_bytes(cpu) - before)\n"
    )
    full, after = map(int, printed_by(code).split())
    assert full > 350e6
    assert after < 100e6
