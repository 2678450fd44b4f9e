"""Save a trained network as one file, with everything needed to score images."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hpo.errors import DataError, HpoError, OutputError, first_line
from hpo.files import atomic_write, file_type, make_folder, share
from hpo.study.catalogue import Dataset, find_dataset, own_dataset
from hpo.study.config import TrainConfig
from hpo.study.own import OwnFile
from hpo.study.stored import parse_object
from hpo.text import brief
from hpo.training.inputs.device_dataset import place_images
from hpo.training.inputs.preprocessing import make_inputs
from hpo.training.loop.fold import complete
from hpo.training.loop.scoring import score_batch, scoring_rows
from hpo.training.machine.device import choose_device, choose_machine, one_thread
from hpo.training.model.network import make_network

_FORMAT = "1"

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Types of tensors as safetensors calls them."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network trained on `dataset` under `config`. about: further text entries of its file, by name."""

    dataset: Dataset
    config: TrainConfig
    network: nn.Module
    about: dict[str, str]

    def scores(
        self, images: NDArray[np.uint8], device: str = "auto", progress: Callable[[float], None] = lambda _share: None
    ) -> NDArray[np.float64]:
        """Score (N, H, W), (N, H, W, 3) or (N, D, H, W) uint8 images: (N, L) from 0 to 1, larger meaning more positive.

        Computes logits in float32 whatever the training precision, so that machines agree; images are resized to
        `input_size` as in training, and scored by the views of `tta`. Scores are sigmoids in float64, where logits
        above 37 are 1, and those below it differ if they are some 1e-16 exp(logit) apart; in float32 from 17 on all
        would be 1, so that confident networks lost their ranking.
        progress: called with the fraction done. Raises DataError for images of another form, DeviceError.
        """
        check_images(images, self.dataset)
        machine = choose_machine(choose_device(device), self.dataset.dimensions, "fp32")
        machine.place(self.network)
        self.network.eval()
        inputs = make_inputs(self.config, self.dataset)
        rows = scoring_rows(self.dataset.dimensions, self.dataset.edge(self.config.input_size))
        channels = self.dataset.channels
        parts = []
        with torch.inference_mode(), one_thread():
            for low in range(0, len(images), rows):
                part = place_images(images[low : low + rows], self.config.input_size, machine.device, channels)
                logits = complete(score_batch(self.network, part, inputs, machine.autocast))
                parts.append(torch.sigmoid(logits.cpu().double()))
                progress(min(low + rows, len(images)) / len(images))
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


def check_images(images: NDArray[Any], dataset: Dataset) -> None:
    """Raise DataError unless `images` are a batch that a network for `dataset` can score."""
    if images.dtype != np.uint8 or images.shape[1:] != dataset.image_shape or not images.size:
        given = f"{images.dtype} of shape {images.shape}"
        colour = "RGB" if dataset.channels == 3 else "grey"
        form = f"uint8 of shape (N, {', '.join(map(str, dataset.image_shape))}), {colour}, 0 to 255"
        raise DataError(f"images are {given}; a model for {dataset.name} scores {form}")


def save_model(model: Model, path: Path) -> None:
    """Write weights and description as safetensors, atomically, and shared as its folder is. Raises OutputError."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    description = {
        "format": _FORMAT,
        "dataset": model.dataset.name,
        "config": model.config.model_dump_json(),
        "about": json.dumps(model.about, sort_keys=True),
    }
    if model.dataset.own is not None:
        # A network is passed on without its data: where they were is nobody's business.
        own = model.dataset.own.model_copy(update={"path": f"{model.dataset.own.name}.npz"})
        # Left out where there is none, so that an earlier hpo reads the file.
        description["own"] = own.model_dump_json(exclude={"pixels"} if own.pixels is None else None)
    try:
        is_shared = make_folder(path.parent)
        with atomic_write(path) as part:
            save_file(tensors, part, metadata=description)
            if is_shared:
                share(part)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None


def load_model(path: Path) -> Model:
    """Load the model in a file. Raises DataError if it is missing, damaged or not hpo's."""
    try:
        if file_type(path) not in (None, stat.S_IFREG):
            raise DataError(f"{path} is not a file")
        with safe_open(path, framework="pt") as file:
            return _read_model(file)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; `hpo export STUDY` writes models") from None
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read as a model: {first_line(error)}") from None
    except DataError:
        raise
    except (KeyError, ValueError, RuntimeError, HpoError) as error:
        raise DataError(f"{path} is not an hpo model: {first_line(error)[:300]}") from None


def read_about(path: Path) -> dict[str, Any]:
    """Return the further entries of a model's file without loading its weights; none if it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return parse_object((file.metadata() or {}).get("about", "{}"))
    except (OSError, SafetensorError, ValueError):
        return {}


def _read_model(file: Any) -> Model:
    """Read the model in an open file. Raises ValueError and others if it is not hpo's."""
    description: dict[str, str] = file.metadata() or {}
    if description.get("format") != _FORMAT:
        raise ValueError(f"its format is {brief(description.get('format', 'missing'))}, not {_FORMAT}")
    about = parse_object(description.get("about", "{}"))
    if not all(isinstance(text, str) for text in about.values()):
        raise ValueError("its description is not text")
    own = description.get("own")
    dataset = find_dataset(description["dataset"]) if own is None else own_dataset(OwnFile.model_validate_json(own))
    config = TrainConfig.model_validate_json(description["config"])
    network = make_network(config, dataset, seed=0)
    # From the header, before any weight is read: torch would convert weights of another type without a word.
    expected = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in network.state_dict().items()}
    if odd := sorted(expected.keys() ^ set(file.keys())):
        raise ValueError(f"its weights are not those of {config.network}: {brief(odd)}")
    tensors = {}
    for name, (dtype, shape) in expected.items():
        stored = file.get_slice(name)
        kind, edges = stored.get_dtype(), stored.get_shape()
        if tuple(edges) != shape or kind != _DTYPES.get(dtype):
            raise ValueError(f"{name} is {kind} of shape {brief(edges)}, not {_DTYPES.get(dtype)} of {list(shape)}")
        tensors[name] = file.get_tensor(name)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point()):
        raise ValueError("it holds weights that are not finite; export it again")
    network.load_state_dict(tensors)
    return Model(dataset, config, network, {name: str(text) for name, text in about.items()})


def weights_digest(model: Model) -> str:
    """Return the hexadecimal SHA-256 of the weights by name; equal for equal networks, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
