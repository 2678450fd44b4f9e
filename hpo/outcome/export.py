"""Export the networks of a final result as a self-contained folder: weights, configuration, model card, check."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpo.errors import DataError, OutputError
from hpo.outcome.final import Final, FinalEntry, FinalResult, load
from hpo.outcome.judgement import judge_final
from hpo.outcome.networks import MODELS
from hpo.outcome.report.document import code, inline_markdown, literal
from hpo.outcome.report.result.twins import twin_sentences
from hpo.outcome.untested import UntestedResult, load_untested
from hpo.study.baselines import shown_name
from hpo.study.catalogue import Dataset
from hpo.study.choices import describe_network
from hpo.study.co_training import names_of_others
from hpo.study.record import stored_config
from hpo.study.stored import JsonObject
from hpo.text import auc, counted, shell

_CHECK_IMAGES = 8
_TOLERANCE = 1e-3

_WRITTEN = ("README.md", "config.json", "check.py", "check.npz")
"""Files of an export beside its networks."""


def export(result: Path, out: Path) -> list[Path]:
    """Write the winner's networks, their configuration, model card and check into `out`.

    Those of data without a test set have a cross-validated AUC in their card, which says that they were not tested. An
    earlier export in `out` is replaced: networks that this result does not have are removed, since `hpo predict`
    averages all of a folder.

    Returns:
        The paths of the networks.

    Raises:
        DataError: if `result` holds no result, or its networks are gone or others.
        OutputError: if `out` cannot be written, or holds files of these names that no export wrote.
    """
    found = _read(result)
    sources = [result / MODELS / network.file for network in found.entry.networks]
    if gone := [source for source in sources if not source.exists()]:
        again = f"`hpo finalize {shell(found.result.study)} --train-only`, with the options of before, trains it again"
        raise DataError(f"{gone[0]} does not exist; {again}")
    # Imported late: torch takes seconds, which what is missing need not wait for.
    from hpo.training.loop.model_file import load_model, weights_digest

    models = [load_model(source) for source in sources]
    for source, model, network in zip(sources, models, found.entry.networks, strict=True):
        if network.weights not in (None, weights_digest(model)):
            raise DataError(
                f"{source} is not the network that the result is of: its weights have changed; put the file back, or "
                f"remove it and run `hpo finalize {shell(found.result.study)} --train-only`"
            )
    dataset = models[0].dataset
    images = np.random.default_rng(0).integers(0, 256, (_CHECK_IMAGES, *dataset.image_shape), dtype=np.uint8)
    paths = [out / f"model-{number}.safetensors" for number in range(len(sources))]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _require_ours(out)
        for source, path in zip(sources, paths, strict=True):
            shutil.copyfile(source, path)
        for left_over in _exported_networks(out).difference(paths):
            left_over.unlink()
        expected = np.stack([model.scores(images, "cpu") for model in models])
        np.savez_compressed(out / "check.npz", images=images, scores=expected)
        (out / "config.json").write_text(json.dumps(_config(found), indent=2, sort_keys=True) + "\n")
        (out / "README.md").write_text(_card(found, dataset), encoding="utf-8")
        (out / "check.py").write_text(_CHECK, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}); give --out with another folder") from None
    return paths


def _require_ours(out: Path) -> None:
    """Raise OutputError if a folder has a README.md or the like, and no networks to which it would belong."""
    theirs = next((name for name in _WRITTEN if (out / name).exists()), None)
    if theirs is not None and not _exported_networks(out):
        raise OutputError(f"{out} has {theirs} and no exported network, and would lose it; give --out another folder")


def _exported_networks(folder: Path) -> set[Path]:
    """Return the networks of an export, by the names that exports give."""
    return {path for path in folder.iterdir() if re.fullmatch(r"model-[0-9]+\.safetensors", path.name)}


@dataclass(frozen=True)
class _Exported:
    """What is exported, and what its card says of how good it is and where it is recorded."""

    result: FinalResult | UntestedResult
    entry: FinalEntry
    epochs: int
    measured: str
    recorded: str


def _read(folder: Path) -> _Exported:
    """Read the result in a folder, tested or not. Raises DataError."""
    final = load(folder)
    if final is not None:
        result = final.result
        entry = result.entry(result.winner)
        recorded = f", entry {result.ledger_row} of the test-set access log"
        return _Exported(result, entry, result.epochs(entry.name), _tested(final), recorded)
    untested = load_untested(folder)
    if untested is not None:
        measured = f"- **Not tested.** There is no test set. {inline_markdown(untested.sentence())}"
        return _Exported(untested, untested.entry, untested.epochs, measured, "")
    if any((folder / MODELS).glob("*.safetensors")):
        raise DataError(f"{folder} holds networks and no result of theirs: run `hpo finalize` to its end")
    raise DataError(f"{folder} holds no final result; run `hpo finalize` first")


def _tested(final: Final) -> str:
    judgement = judge_final(final)
    judged = judgement.entries[0]
    estimate = judged.interval
    kind = "seeds and test samples" if estimate is judged.over_all else "test samples"
    twins = "".join(f" {sentence}" for sentence in twin_sentences(judgement, len(final.labels)))
    between = f"95 % interval over {kind} {auc(estimate.low)} to {auc(estimate.high)}"
    each = ", ".join(auc(one.value) for one in judged.aucs)
    samples = f"{len(final.labels)} test samples"
    return f"- **Test AUC.** {auc(judged.mean)}, {between}, on {samples}; each network: {each}.{twins}"


def _config(found: _Exported) -> JsonObject:
    shared = {"dataset", "study", "protocol", "code_version", "estimate"}
    of_result = found.result.model_dump(mode="json", include=shared)
    return of_result | found.entry.model_dump(mode="json", exclude={"is_reference"})


def _card(found: _Exported, dataset: Dataset) -> str:
    result, entry, protocol = found.result, found.entry, found.result.protocol
    config = stored_config(entry.config, f"{entry.name} of the final result of study {result.study}")
    shape = ", ".join(("N", *map(str, dataset.image_shape)))
    others = names_of_others(entry.config.get("co_training"), dataset)
    together = f"In the first epochs also on training and validation samples of {others}. " if others else ""
    official = literal(dataset.official_name)
    return f"""# {literal(shown_name(entry.name, found.epochs))} on {official}

{_trained(len(entry.networks))}

- **Network.** {describe_network(config.network, dataset.dimensions)}, {dataset.labels} \
output{"s" if dataset.labels > 1 else ""}.
- **Input.** uint8 images of shape ({shape}), {"RGB" if dataset.channels == 3 else "greyscale"}, 0 to 255.
- **Output.** {_output(dataset)}
- **Training.** {counted(found.epochs, "epoch")} on the {protocol.rows} set of {official}. \
{together}Settings are in `config.json`.
{found.measured}
- **Code.** {result.code_version}; study {code(result.study)}{found.recorded}.

## Use

```
hpo predict . photos
hpo predict model-0.safetensors images.npz --array images --out images.csv
python check.py
```

`check.py` scores the images of `check.npz` and compares the scores with those stored at export.

## Limits

Trained on one {"public dataset" if dataset.own is None else "dataset"} of small images\
{", without information on patients, scanners or hospitals" if dataset.own is None else ""}. Scores are not
calibrated and are not probabilities of disease. **Not for medical use.** {_caution(dataset.caution)}
"""


def _trained(networks: int) -> str:
    if networks == 1:
        return "One network, trained from scratch with hpo."
    return f"{networks} networks of one configuration, trained from scratch with hpo, with different seeds."


def _output(dataset: Dataset) -> str:
    """Say what scores mean; a user's own labels may have names."""
    names = dataset.own.label_names if dataset.own is not None else ()
    of = f", of these labels in their order: {', '.join(map(code, names))}" if any(names) else ""
    return f"Scores from 0 to 1, larger meaning label 1{of}."


def _caution(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


_CHECK = f'''"""Check that the networks in this folder reproduce the scores stored at export."""

import sys
from pathlib import Path

import numpy as np

from hpo.training.loop.model_file import load_model

folder = Path(__file__).parent
with np.load(folder / "check.npz") as arrays:
    images, expected = arrays["images"], arrays["scores"]
worst = 0.0
for number, scores in enumerate(expected):
    actual = load_model(folder / f"model-{{number}}.safetensors").scores(images, "cpu")
    worst = max(worst, float(np.abs(actual - scores).max()))
print(f"{{len(expected)}} networks, {{len(images)}} images: largest difference {{worst:.2g}}, allowed {_TOLERANCE:g}")
sys.exit(0 if worst <= {_TOLERANCE:g} else 1)
'''
