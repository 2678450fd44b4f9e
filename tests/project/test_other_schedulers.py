"""docs/other-schedulers.md: its manifest and scripts, as far as they can be checked without their schedulers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.project.documents import ROOT, code_blocks, parse

TEXT = (ROOT / "docs" / "other-schedulers.md").read_text()
SCRIPTS = [block for block in code_blocks(TEXT) if block.startswith("#!/bin/bash\n")]


def test_the_pods_of_the_manifest_run_workers_by_the_entry_of_the_image() -> None:
    (text,) = code_blocks(TEXT, "yaml")
    job = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert "completions" not in job["spec"]
    pod = job["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    assert worker["args"][:2] == ["hpo", "worker"]
    parse(worker["args"][1:])
    # What Kubernetes demands of a podFailurePolicy.
    assert pod["restartPolicy"] == "Never"
    assert {rule["onExitCodes"]["containerName"] for rule in job["spec"]["podFailurePolicy"]["rules"][1:]} == {"worker"}
    assert {mount["name"] for mount in worker["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_manifest_agrees_with_the_dockerfile() -> None:
    (text,) = code_blocks(TEXT, "yaml")
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    dockerfile, entry = (ROOT / "Dockerfile").read_text(), (ROOT / "docker" / "entry.py").read_text()
    assert f"--uid {pod['securityContext']['runAsUser']}" in dockerfile
    assert "HPO_DATA_DIR=/data" in dockerfile
    (worker,) = pod["containers"]
    variables = {variable["name"]: variable["value"] for variable in worker["env"]}
    assert all(f'"{name}"' in entry for name in ("HPO_DATABASE", "HPO_PASSWORD_FILE"))
    mounted = [Path(mount["mountPath"]) for mount in worker["volumeMounts"]]
    assert Path("/data") in mounted
    assert Path(variables["HPO_CHECKPOINT_DIR"]) in mounted
    assert Path(variables["HPO_PASSWORD_FILE"]).parent in mounted


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.splitlines()[1][:8])
def test_scripts_become_a_worker_that_gets_the_signals(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    (last,) = re.findall(r"^exec hpo (.*)\Z", script.rstrip("\n"), re.MULTILINE)
    parse(last.split())


def test_there_is_a_script_for_each_of_three_ways() -> None:
    assert len(SCRIPTS) == 3
