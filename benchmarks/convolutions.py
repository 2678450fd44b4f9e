"""Convolutions of small feature maps on a CPU in bf16: oneDNN's beside products of matrices.

    python benchmarks/convolutions.py [2d|3d] [--input-size 28] [--batch 128] [--rounds 10]

The layers of the last two stages of the fixed network, each with its forward pass and both gradients. The ways take
turns; milliseconds are medians over the rounds, the ratio is taken round by round. `hpo` is what hpo does by itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from hpo.revision import code_version
from hpo.training.machine.device import choose_machine, describe_device, set_up_process
from hpo.training.model.im2col import as_products, has_tiles, pays
from hpo.training.model.resnet import resnet18

CPU = torch.device("cpu")
BATCH = {2: 128, 3: 16}
BLOCKS_BEFORE = 4


def inputs_of_layers(network: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d | nn.Conv3d, Tensor]]:
    """The convolutions of the last two stages with what each gets to see, one of each kind."""
    found: dict[tuple[object, ...], tuple[nn.Conv2d | nn.Conv3d, Tensor]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            found.setdefault((layer.weight.shape, layer.stride, inputs[0].shape), (layer, inputs[0].detach()))

    for block in list(network.blocks)[BLOCKS_BEFORE:]:  # type: ignore[union-attr, arg-type]
        for module in block.modules():
            module.register_forward_hook(note)
    network(images)
    return list(found.values())


def milliseconds(layer: nn.Conv2d | nn.Conv3d, features: Tensor, way: str) -> float:
    """Of one forward pass and both gradients."""
    features = features.clone(memory_format=torch.preserve_format).requires_grad_()
    kind = nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.Conv3d
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = as_products(features, layer) if way == "products" else kind.forward(layer, features)  # type: ignore[arg-type]
    torch.autograd.grad(out, [features, layer.weight], torch.ones_like(out))
    return 1000 * (time.perf_counter() - start)


def measured(layer: nn.Conv2d | nn.Conv3d, features: Tensor, rounds: int) -> dict[str, Any]:
    """What both ways take for one layer."""
    ways = ("onednn", "products")
    times = [{way: milliseconds(layer, features, way) for way in ways} for _ in range(rounds + 1)][1:]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        chosen = "products" if pays(features, layer) else "onednn"
        edges = list(layer(features).shape[2:])
    products = 3 * 2 * layer.weight.numel() * len(features) * torch.Size(edges).numel()
    ratios = [one["onednn"] / one["products"] for one in times]
    return {
        "weight": list(layer.weight.shape),
        "stride": layer.stride[0],
        "output_edges": edges,
        "milliseconds": {way: statistics.median(one[way] for one in times) for way in ways},
        "gflops": {way: products / 1e6 / statistics.median(one[way] for one in times) for way in ways},
        "products_faster": statistics.median(ratios),
        "range": [min(ratios), max(ratios)],
        "hpo": chosen,
    }


def main() -> None:
    """Measures and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=["2d", "3d"], default="2d")
    parser.add_argument("--input-size", type=int, default=28)
    parser.add_argument("--batch", type=int, help="128 in 2D, 16 in 3D")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    dimensions = int(options.kind[0])
    batch = options.batch or BATCH[dimensions]
    set_up_process(None)
    machine = choose_machine(CPU, dimensions, "bf16")
    network = resnet18(dimensions, 1, 0)
    machine.place(network)
    images = torch.rand(batch, 1, *(options.input_size,) * dimensions)
    with machine.autocast():
        layers = inputs_of_layers(network, images)
    document = {
        "kind": options.kind,
        "input_size": options.input_size,
        "batch": batch,
        "amx": has_tiles(),
        "layers": [measured(layer, features, options.rounds) for layer, features in layers],
        "device": describe_device(CPU),
        "torch": torch.__version__,
        "code": code_version(),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
