"""Save a trained network as one file, with everything needed to score images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hpo.errors import DataError, HpoError, OutputError, first_line
from hpo.files import atomic_write
from hpo.study.catalogue import Dataset, find_dataset
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import place_images
from hpo.training.inputs.preprocessing import make_inputs
from hpo.training.loop.fold import SCORING_BATCH
from hpo.training.machine.device import choose_device, choose_machine
from hpo.training.model.network import make_network

_FORMAT = "1"


@dataclass(frozen=True, eq=False)
class Model:
    """A network trained on `dataset` under `config`. about: further text entries of its file, by name."""

    dataset: Dataset
    config: TrainConfig
    network: nn.Module
    about: dict[str, str]

    def scores(
        self, images: NDArray[np.uint8], device: str = "auto", progress: Callable[[float], None] = lambda _share: None
    ) -> NDArray[np.float32]:
        """Score (N, H, W) or (N, D, H, W) uint8 images: (N, L) from 0 to 1, larger meaning more positive.

        Computes in float32 whatever the training precision, so that machines agree; images are shrunk to `input_size`
        as in training.
        progress: called with the fraction done. Raises DataError for images of another form, DeviceError.
        """
        check_images(images, self.dataset)
        machine = choose_machine(choose_device(device), self.dataset.dimensions, "fp32")
        machine.place(self.network)
        self.network.eval()
        inputs = make_inputs(self.config, self.dataset)
        rows = SCORING_BATCH[self.dataset.dimensions]
        parts = []
        with torch.inference_mode():
            for low in range(0, len(images), rows):
                part = place_images(images[low : low + rows], self.config.input_size, machine.device)
                parts.append(torch.sigmoid(self.network(inputs.for_scoring(part)).float()).cpu())
                progress(min(low + rows, len(images)) / len(images))
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def check_images(images: NDArray[Any], dataset: Dataset) -> None:
    """Raise DataError unless `images` are a batch that a network for `dataset` can score."""
    axes = {2: "(N, H, W)", 3: "(N, D, H, W)"}[dataset.dimensions]
    if images.dtype != np.uint8 or images.ndim != dataset.dimensions + 1 or not images.size:
        given = f"{images.dtype} of shape {images.shape}"
        raise DataError(f"images are {given}; a model for {dataset.name} scores uint8 of shape {axes}, grey, 0 to 255")


def save_model(model: Model, path: Path) -> None:
    """Write weights and description as safetensors, atomically. Raises OutputError."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    description = {
        "format": _FORMAT,
        "dataset": model.dataset.name,
        "config": model.config.model_dump_json(),
        "about": json.dumps(model.about, sort_keys=True),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            save_file(tensors, part, metadata=description)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None


def load_model(path: Path) -> Model:
    """Load the model in a file. Raises DataError if it is missing, damaged or not hpo's."""
    try:
        with safe_open(path, framework="pt") as file:
            description = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; `hpo export STUDY` writes models") from None
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read as a model: {error}") from None
    try:
        if description.get("format") != _FORMAT:
            raise ValueError(f"its format is {description.get('format', 'missing')}, not {_FORMAT}")
        dataset = find_dataset(description["dataset"])
        config = TrainConfig.model_validate_json(description["config"])
        network = make_network(config, dataset, seed=0)
        network.load_state_dict(tensors)
    except (KeyError, ValueError, ValidationError, RuntimeError, HpoError) as error:
        raise DataError(f"{path} is not an hpo model: {first_line(error)}") from None
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point()):
        raise DataError(f"{path} holds weights that are not finite; export it again")
    return Model(dataset, config, network, json.loads(description.get("about", "{}")))


def weights_digest(model: Model) -> str:
    """Return the hexadecimal SHA-256 of the weights by name; equal for equal networks, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
