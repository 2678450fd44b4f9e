"""Make a registered network with weights drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from hpo.study.catalogue import Dataset
from hpo.study.choices import NETWORKS
from hpo.study.config import TrainConfig

NetworkFactory = Callable[[tuple[int, ...], int], nn.Module]
"""Makes a network for images of one shape, (1, H, W), (3, H, W) for RGB or (1, D, H, W), and a number of labels:
(B, C, ...) float images to (B, labels) logits. Weights are drawn from PyTorch's default generator, which is seeded
around the call."""


def make_network(config: TrainConfig, dataset: Dataset, seed: int) -> nn.Module:
    """Make the network of a configuration for the images of a dataset; global generators stay as they were."""
    factory: NetworkFactory = NETWORKS.find(config.network)
    edge = dataset.edge(config.input_size)
    with seeded(seed):
        network = factory((dataset.channels, *(edge,) * dataset.dimensions), dataset.labels)
    # Of a plug-in it may be anything.
    if not isinstance(network, nn.Module):
        raise TypeError(f"the function of network {config.network} returns {type(network).__name__}, not an nn.Module")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"network {config.network} has no parameters to train")
    return network


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's default CPU generator inside the context, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
