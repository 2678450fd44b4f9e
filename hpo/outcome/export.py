"""Export the networks of a final result as a self-contained folder: weights, configuration, model card, check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from hpo.errors import DataError, OutputError
from hpo.outcome.final import Final, FinalEntry, FinalResult, load
from hpo.outcome.judgement import Judgement, judge_final
from hpo.outcome.networks import MODELS
from hpo.outcome.report.result.twins import twin_sentences
from hpo.study.baselines import shown_name
from hpo.study.catalogue import Dataset
from hpo.study.choices import describe_network
from hpo.study.co_training import names_of_others
from hpo.study.record import stored_config
from hpo.study.stored import JsonObject
from hpo.text import auc

_CHECK_IMAGES = 8
_TOLERANCE = 1e-3


def export(result: Path, out: Path) -> list[Path]:
    """Write the winner's networks, their configuration, model card and check into `out`.

    Returns:
        The paths of the networks.

    Raises:
        DataError: if `result` holds no final result, or its networks are gone.
        OutputError: if `out` cannot be written.
    """
    from hpo.training.loop.model_file import load_model

    final = load(result)
    if final is None:
        if any((result / MODELS).glob("*.safetensors")):
            raise DataError(
                f"{result} holds networks that were not tested, and no final result: run `hpo finalize`; where the "
                f"data have no test set, use them as they are: `hpo predict {result / MODELS} FILE.npz --out FILE.csv`"
            )
        raise DataError(f"{result} holds no final result; run `hpo finalize` first")
    entry = final.result.entry(final.result.winner)
    sources = [result / "models" / network.file for network in entry.networks]
    models = [load_model(source) for source in sources]
    dataset = models[0].dataset
    images = np.random.default_rng(0).integers(0, 256, (_CHECK_IMAGES, *dataset.image_shape), dtype=np.uint8)
    paths = [out / f"model-{number}.safetensors" for number in range(len(sources))]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for source, path in zip(sources, paths, strict=True):
            shutil.copyfile(source, path)
        expected = np.stack([model.scores(images, "cpu") for model in models])
        np.savez_compressed(out / "check.npz", images=images, scores=expected)
        (out / "config.json").write_text(json.dumps(_config(final.result, entry), indent=2, sort_keys=True) + "\n")
        (out / "README.md").write_text(_card(final, entry, judge_final(final), len(paths), dataset), encoding="utf-8")
        (out / "check.py").write_text(_CHECK, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}); give --out with another folder") from None
    return paths


def _config(result: FinalResult, entry: FinalEntry) -> JsonObject:
    of_result = result.model_dump(mode="json", include={"dataset", "study", "protocol", "code_version"})
    return of_result | entry.model_dump(mode="json", exclude={"is_reference"})


def _card(final: Final, entry: FinalEntry, judgement: Judgement, networks: int, dataset: Dataset) -> str:
    result, judged = final.result, judgement.entries[0]
    protocol = result.protocol
    config = stored_config(entry.config, f"{entry.name} of the final result of study {result.study}")
    estimate = judged.interval
    kind = "seeds and test samples" if estimate is judged.over_all else "test samples"
    shape = ", ".join(("N", *map(str, dataset.image_shape)))
    others = names_of_others(entry.config.get("co_training"), dataset)
    together = f"In the first epochs also on training and validation samples of {others}. " if others else ""
    twins = "".join(f" {sentence}" for sentence in twin_sentences(judgement, len(final.labels)))
    return f"""# {shown_name(judged.name, result.epochs(judged.name))} on {dataset.official_name}

{networks} networks of one configuration, trained from scratch with hpo, with different seeds.

- **Network.** {describe_network(config.network, dataset.dimensions)}, {dataset.labels} \
output{"s" if dataset.labels > 1 else ""}.
- **Input.** uint8 images of shape ({shape}), {"RGB" if dataset.channels == 3 else "greyscale"}, 0 to 255.
- **Output.** {_output(dataset)}
- **Training.** {result.epochs(judged.name)} epochs on the {protocol.rows} set of {dataset.official_name}. \
{together}Settings are in `config.json`.
- **Test AUC.** {auc(judged.mean)}, 95 % interval over {kind} {auc(estimate.low)} to {auc(estimate.high)}, on \
{len(final.labels)} test samples; each network: {", ".join(auc(one.value) for one in judged.aucs)}.{twins}
- **Code.** {result.code_version}; study `{result.study}`, entry {result.ledger_row} of the test-set access log.

## Use

```
hpo predict . photos --out scores.csv
hpo predict model-0.safetensors images.npz --array images --out scores.csv
python check.py
```

`check.py` scores the images of `check.npz` and compares the scores with those stored at export.

## Limits

Trained on one {"public dataset" if dataset.own is None else "dataset"} of small images, without information on \
patients, scanners or hospitals. Scores are not
calibrated and are not probabilities of disease. **Not for medical use.** {_caution(dataset.caution)}
"""


def _output(dataset: Dataset) -> str:
    """Say what scores mean; a user's own labels may have names."""
    names = dataset.own.label_names if dataset.own is not None else ()
    of = f", of these labels in their order: {', '.join(names)}" if names else ""
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
