"""Energy by the counters of devices."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hpo.training.machine.energy import EnergyMeter

CPU = torch.device("cpu")


def counter(rapl: Path, folder: str, name: str, joules: float, around: float = 1000.0) -> Path:
    """A counter as the kernel shows it, in microjoules."""
    place = rapl / folder
    place.mkdir(exist_ok=True)
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text(f"{around * 1e6:.0f}\n")
    (place / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")
    return place / "energy_uj"


def test_packages_add_up_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    first = counter(tmp_path, "intel-rapl:0", "package-0", 10)
    second = counter(tmp_path, "intel-rapl:1", "package-1", 20)
    part = counter(tmp_path, "intel-rapl:0:0", "core", 5)
    meter = EnergyMeter(CPU, tmp_path)
    for path, joules in ((first, 13), (second, 24), (part, 7)):
        path.write_text(f"{joules * 10**6}\n")
    assert meter.joules() == pytest.approx(7)
    assert meter.joules() == pytest.approx(7)


def test_a_counter_that_began_anew_goes_on(tmp_path: Path) -> None:
    path = counter(tmp_path, "intel-rapl:0", "package-0", 990)
    meter = EnergyMeter(CPU, tmp_path)
    path.write_text(f"{15 * 10**6}\n")
    assert meter.joules() == pytest.approx(25)


@pytest.mark.parametrize("lacking", ["energy_uj", "max_energy_range_uj", "name"])
def test_a_counter_that_cannot_be_read_tells_nothing(tmp_path: Path, lacking: str) -> None:
    path = counter(tmp_path, "intel-rapl:0", "package-0", 1)
    (path.parent / lacking).unlink()
    assert EnergyMeter(CPU, tmp_path).joules() is None


def test_a_counter_that_goes_away_leaves_what_was_counted(tmp_path: Path) -> None:
    path = counter(tmp_path, "intel-rapl:0", "package-0", 1)
    meter = EnergyMeter(CPU, tmp_path)
    path.unlink()
    assert meter.joules() is None


def test_a_card_is_asked_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    readings, asked = iter([5000, 7500]), []
    nvml = SimpleNamespace(
        NVMLError=type("NVMLError", (Exception,), {}),
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: asked.append(name),
        nvmlDeviceGetTotalEnergyConsumption=lambda _card: next(readings),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(uuid="ab-cd"))
    assert EnergyMeter(torch.device("cuda:1")).joules() == pytest.approx(2.5)
    assert set(asked) == {"GPU-ab-cd"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_driver_there_is_no_counter() -> None:
    assert EnergyMeter(torch.device("cuda:0")).joules() is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_work_on_a_card_uses_energy() -> None:
    device = torch.device("cuda:0")
    meter = EnergyMeter(device)
    matrix = torch.randn(4096, 4096, device=device)
    for _ in range(200):
        matrix = (matrix @ matrix).clamp(-1, 1)
    torch.cuda.synchronize()
    used = meter.joules()
    assert used is not None
    assert used > 0


def test_without_the_library_for_cards_nothing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert EnergyMeter(torch.device("cuda:0")).joules() is None
