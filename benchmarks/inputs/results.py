"""Final results that no hpo wrote, or that were damaged."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from benchmarks.inputs.files import changes, cuts, damaged, small_model
from benchmarks.inputs.stored import TEXTS
from benchmarks.inputs.tally import Tally
from hpo.outcome.final import Final, FinalEntry, FinalNetwork, FinalResult, store
from hpo.outcome.networks import Protocol
from hpo.study.config import TrainConfig

_VALUES = (*TEXTS, None, 0, -1, 2**70, 1e308, "", "breast", [], {}, [[]], True, "../../../etc/passwd", "9" * 5000)

values = st.tuples(st.just("value"), st.integers(0, 200), st.sampled_from(_VALUES))
arrays = st.tuples(
    st.just("array"),
    st.sampled_from(("labels", "scores_0", "scores_1")),
    st.tuples(
        st.sampled_from((None, (), (3,), (156, 1), (156, 2), (1, 156, 1), (2, 155, 1), (2, 156, 1), (0, 156, 1))),
        st.sampled_from((0.5, 0.0, 1.0, float("nan"), 1e308)),
    ),
)
broken = st.one_of(
    values,
    arrays,
    st.tuples(st.just("final.json"), changes, cuts),
    st.tuples(st.just("scores.npz"), changes, cuts),
)
"""How a final result is broken: one value of its description, an array, or bytes of a file."""


def small_result(folder: Path) -> None:
    """Write a final result of one network of two configurations, for breast."""
    random = np.random.default_rng(0)
    labels = (random.random((156, 1)) < 0.5).astype(np.uint8)
    small_model(folder / "models" / "x.safetensors", "breast")
    entries = tuple(
        FinalEntry(
            name=name,
            is_reference=name != "trial 1",
            chosen="by hand",
            config=TrainConfig().model_dump(),
            networks=(FinalNetwork(file="x.safetensors", thresholds=(0.5,), threshold_rows="rows"),),
        )
        for name in ("trial 1", "medmnist-cross-entropy")
    )
    result = FinalResult(
        study="study", dataset="breast", winner="trial 1", protocol=Protocol("development", 1, 1, 0), entries=entries,
        ledger_row=1, code_version="x", time=1.0,
    )  # fmt: skip
    scores = {entry.name: random.random((1, 156, 1)).astype(np.float32) for entry in entries}
    store(Final(result, scores, labels), folder)


def read_result(tally: Tally, good: Path, how: tuple[Any, ...], folder: Path) -> None:
    """Report and export a result that is broken in one way."""
    target = folder / "study"
    target.mkdir(exist_ok=True)
    if not (target / "models").exists():
        (target / "models").symlink_to(good / "models")
    text, scores = (good / "final.json").read_text(), (good / "scores.npz").read_bytes()
    kind, first, second = how
    if kind == "value":
        text = json.dumps(_changed(json.loads(text), first, second))
    if kind == "array":
        scores = _replaced(scores, first, second)
    content = {"final.json": text.encode(), "scores.npz": scores}
    if kind in content:
        content[kind] = damaged(content[kind], first, second)
    for name, made in content.items():
        (target / name).write_bytes(made)
    tally.call(["export", "study", "--results", str(target), "--out", "exported"], how)
    tally.call(["report", "--all", "--results", str(folder), "--out", "reported"], how)


def _changed(document: Any, place: int, value: Any) -> Any:
    """Replace the value at a place of a JSON document, counted through all its nodes."""
    document = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            visit(node[key])

    visit(document)
    node, key = places[place % len(places)]
    node[key] = value
    return document


def _replaced(scores: bytes, name: str, how: tuple[tuple[int, ...] | None, float]) -> bytes:
    shape, value = how
    arrays = dict(np.load(io.BytesIO(scores)))
    if shape is None:
        arrays.pop(name)
    else:
        arrays[name] = np.full(shape, value)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
