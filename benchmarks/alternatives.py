"""Ways of training the folds of a trial that hpo does not take, beside the one after the other.

    python benchmarks/alternatives.py [2d|3d] [--folds 2] [--batch 128] [--rounds 5] [--device cpu|cuda] [--no-compile]

A step here is forward and backward pass of the fixed network on made-up images, in the precision that `auto` takes.

in_turn: each fold's network by itself, as hpo does where folds do not go side by side.
fused: one network of all folds, weights stacked and batched by torch.func, which makes grouped convolutions of them.
compiled: in turn, each network by torch.compile.

The ways take turns; ratios are of one round. Memory and speed of the ways that hpo does take: `benchmarks/training.py
folds`.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

from hpo.revision import code_version
from hpo.training.machine.device import choose_device, choose_machine, describe_device, set_up_process
from hpo.training.model.im2col import Convolution2d, Convolution3d
from hpo.training.model.resnet import resnet18

EDGE = 28
BATCH = {2: 128, 3: 16}

Step = Callable[[], None]
Stacked = tuple[dict[str, Tensor], dict[str, Tensor]]


def plain(network: nn.Module) -> nn.Module:
    """The network with PyTorch's own convolutions: torch.func and torch.compile do not see through hpo's."""
    for module in network.modules():
        if isinstance(module, Convolution2d | Convolution3d):
            module.__class__ = nn.Conv2d if isinstance(module, Convolution2d) else nn.Conv3d  # type: ignore[assignment]
    return network


def in_turn(networks: list[nn.Module], images: Tensor, targets: Tensor, autocast: Callable[[], Any]) -> Step:
    """A step of each network; images: (K, B, 1, ...), targets: (K, B, 1)."""

    def step() -> None:
        for network, batch, wanted in zip(networks, images, targets, strict=True):
            network.zero_grad()
            with autocast():
                logits = network(batch)
            F.binary_cross_entropy_with_logits(logits, wanted).backward()

    return step


def fused(network: nn.Module, stacked: Stacked, images: Tensor, targets: Tensor, autocast: Callable[[], Any]) -> Step:
    """The same step, of all networks at once; network: any of them, stacked: weights and buffers of all."""
    weights, statistics_of_norms = stacked
    skeleton = copy.deepcopy(network).to("meta")

    def logits_of(own: dict[str, Tensor], norms: dict[str, Tensor], batch: Tensor) -> Tensor:
        logits: Tensor = functional_call(skeleton, (own, norms), (batch,))
        return logits

    def step() -> None:
        for weight in weights.values():
            weight.grad = None
        with autocast():
            logits = torch.vmap(logits_of)(weights, statistics_of_norms, images)
        (F.binary_cross_entropy_with_logits(logits, targets) * len(images)).backward()

    return step


def main() -> None:
    """Measures and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=["2d", "3d"], default="2d")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--batch", type=int, help="128 in 2D, 16 in 3D")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    dimensions = int(options.kind[0])
    batch = options.batch or BATCH[dimensions]
    set_up_process(None)
    machine = choose_machine(choose_device(options.device), dimensions, "auto")
    torch.manual_seed(0)
    images = torch.rand(options.folds, batch, 1, *(EDGE,) * dimensions, device=machine.device)
    targets = torch.randint(0, 2, (options.folds, batch, 1), device=machine.device).float()

    def networks() -> list[nn.Module]:
        made: list[nn.Module] = [resnet18(dimensions, 1, seed) for seed in range(options.folds)]
        for network in made:
            machine.place(network)
        return made

    def seconds(step: Step) -> float:
        start = time.perf_counter()
        step()
        if machine.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    ways = {
        "in_turn": in_turn(networks(), images, targets, machine.autocast),
        "fused": fused(plain(networks()[0]), stack_module_state(networks()), images, targets, machine.autocast),
    }
    if not options.no_compile:
        compiled = [torch.compile(plain(network)) for network in networks()]
        ways["compiled"] = in_turn(compiled, images, targets, machine.autocast)
    first = {name: seconds(step) for name, step in ways.items()}
    rounds = [{name: seconds(step) for name, step in ways.items()} for _ in range(options.rounds + 1)][1:]
    print(
        json.dumps(
            {
                "kind": options.kind,
                "folds": options.folds,
                "batch": batch,
                "precision": str(machine.dtype),
                "seconds_of_the_first_step": first,
                "samples_per_second": {
                    name: options.folds * batch / statistics.median(one[name] for one in rounds) for name in ways
                },
                "ratio_to_in_turn": {
                    name: {
                        "median": statistics.median(one["in_turn"] / one[name] for one in rounds),
                        "range": [extreme(one["in_turn"] / one[name] for one in rounds) for extreme in (min, max)],
                    }
                    for name in ways
                },
                "device": describe_device(machine.device),
                "torch": torch.__version__,
                "code": code_version(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
