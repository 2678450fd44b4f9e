"""A user's own data file, from `hpo init` to scores of new images."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from hpo.data.development import load_development
from hpo.study.files import default_spec
from tests.cli.run import hpo_forked, hpo_here
from tests.own_files import own_file


def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    own_file(tmp_path / "oblong.npz", shape=(6, 8))
    found = hpo_here("launch", "--dataset", "oblong.npz", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (4, "")
    assert "Traceback" not in found.stderr
    assert hpo_here("launch", "--dataset", "gone.npz", cwd=tmp_path).returncode == 4
    assert not (tmp_path / "hpo.sqlite3").exists()


def test_the_next_command_of_init_takes_the_file_whatever_its_ending(tmp_path: Path) -> None:
    own_file(tmp_path / "mine.npz", (60, 0, 0))
    said = hpo_here("init", "mine.npz", "--out", "mine.txt", cwd=tmp_path).stderr
    (command,) = re.findall(r"next: hpo (.*)", said)
    assert hpo_here(*command.split(), "--on", "none", cwd=tmp_path).returncode == 0


def test_init_replaces_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    own_file(tmp_path / "mine.npz")
    (tmp_path / "mine.toml").write_text("mine")
    found = hpo_here("init", "mine.npz", cwd=tmp_path)
    assert found.returncode == 9
    assert (tmp_path / "mine.toml").read_text() == "mine"


def test_data_commands_take_a_file(tmp_path: Path) -> None:
    own_file(tmp_path / "mine.npz", shape=(6, 6, 3))
    assert hpo_here("data", "verify", "mine.npz", cwd=tmp_path).returncode == 0
    found = hpo_here("data", "duplicates", "mine.npz", "--json", "--picture", "pairs.png", cwd=tmp_path)
    assert found.returncode == 0
    assert json.loads(found.stdout)["samples"] == 28


def test_what_import_writes_is_a_dataset(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["file,label,patient"]
    for number in range(40):
        pixels = random.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'mole' if number % 4 < 2 else 'melanoma'},p{number // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    made = ("--labels", "labels.csv", "--group", "patient", "--positive", "melanoma", "--out", "skin.npz")
    found = hpo_here("data", "import", ".", *made, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    spec = default_spec(str(tmp_path / "skin.npz"))
    assert spec.data.study_name == "skin"
    assert spec.data.channels == 3
    assert spec.own is not None
    assert spec.own.label_names == ("melanoma",)
    development = load_development(spec.data, tmp_path)
    assert development.groups is not None
    assert default_spec(f"{tmp_path}/skin.npz:melanoma").data.labels == 1


@pytest.mark.slow
def test_own_rgb_images_go_the_whole_way(tmp_path: Path) -> None:
    groups = {f"{split}_groups": np.arange(count) // 2 for split, count in (("train", 40), ("val", 0), ("test", 16))}
    groups.pop("val_groups")
    groups["test_groups"] += 100
    own_file(tmp_path / "moles.npz", (40, 0, 16), (8, 8, 3), **groups)

    def run(*arguments: str, run: Callable[..., CompletedProcess[str]] = hpo_forked) -> str:
        found = run(*arguments, cwd=tmp_path)
        assert found.returncode == 0, found.stderr
        return found.stdout

    run("init", "moles.npz", "--hours", "0.01")
    quick = ["budget.epochs=1", "scoring.folds=2", "search.references=false", "space.batch_size.choices=[8]"]
    quick += ["fixed.network=resnet18_narrow"]
    sets = [word for each in quick for word in ("--set", each)]
    kept = ("--workers", "1", "--device", "cpu")
    run("launch", "--study-file", "moles.toml", "--set", "scoring.rows=kfold", "--trials", "2", *sets, *kept)
    # From here on the file is elsewhere, as on another host.
    (tmp_path / "data").mkdir()
    (tmp_path / "moles.npz").rename(tmp_path / "data" / "moles.npz")
    moved = ("--data-dir", "data")
    run("confirm", "moles", "--top", "1", "--per-family", "0", "--seeds", "1", *kept, *moved)
    final = json.loads(run("finalize", "moles", "--networks", "1", "--json", *kept, *moved))
    assert final["entries"]
    run("export", "moles", run=hpo_here)
    run("report", "moles", run=hpo_here)
    export = "hpo-results/moles/export"
    run("predict", export, "data/moles.npz", "--array", "test_images", "--out", "scores.csv", "--device", "cpu")
    with (tmp_path / "scores.csv").open() as file:
        scores = [float(row[1]) for row in csv.reader(file)]
    assert len(scores) == 16
    assert all(0 <= score <= 1 for score in scores)
    # The access is logged, and known to a study of the same file in another database.
    logged = (tmp_path / "data" / "test-set-accesses.jsonl").read_text()
    assert json.loads(logged)["dataset"].startswith("moles:")
