"""`hpo cluster init`, with a stand-in for Slurm, and presets of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.errors import UsageError
from hpo.launch.backends.slurm.client import SlurmSilentError
from hpo.launch.backends.slurm.own_presets import all_presets, find_preset, own_folder, preset_names, read_preset
from hpo.launch.backends.slurm.plan import SlurmOptions, SlurmPlan, make_plan
from hpo.launch.backends.slurm.presets import Partition
from hpo.launch.backends.slurm.survey import render_preset, survey
from hpo.launch.backends.slurm.units import Gpus
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.slurm.fake import FakeSlurm
from tests.slurm.test_slurm_plan import COMMAND

PARTITIONS = """\
ClusterName             = bigmachine
PartitionName=long Default=YES MaxTime=7-00:00:00 State=UP RootOnly=NO Nodes=c[1-9]
PartitionName=gpu Default=NO MaxTime=2-00:00:00 State=UP RootOnly=NO Nodes=g[1-3]
PartitionName=free Default=NO MaxTime=UNLIMITED State=UP RootOnly=NO Nodes=g3
PartitionName=old Default=NO MaxTime=UNLIMITED State=DOWN RootOnly=NO Nodes=o1
PartitionName=admin Default=NO MaxTime=UNLIMITED State=UP RootOnly=YES Nodes=o1
"""
NODES = """\
long|64|257000|(null)
gpu|48|385000+|gpu:a100:2(S:0-1),gpu:t4:4(S:0,2),shard:8
gpu|32|128000|gpu:a100:1
free|48|128000|gpu:2(S:0)
old|999|9990000|gpu:h100:8
"""


@pytest.fixture
def cluster(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """The cluster `bigmachine`, a user with one account and no modules, and an empty configuration folder."""
    slurm.answers("scontrol", PARTITIONS)
    slurm.answers("sinfo", NODES)
    slurm.answers("sacctmgr", "lab\nlab\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (work := tmp_path / "work").mkdir()
    monkeypatch.chdir(work)
    return slurm


def written(text: str, name: str = "mine") -> Path:
    """A preset file of the user's."""
    own_folder().mkdir(parents=True, exist_ok=True)
    (path := own_folder() / f"{name}.toml").write_text(text)
    return path


def plan(**wishes: object) -> SlurmPlan:
    return make_plan(SlurmOptions(**wishes), COMMAND)


def test_a_survey_has_what_may_be_used_with_the_most_that_a_node_has(cluster: FakeSlurm) -> None:
    found = survey("me")
    assert (found.cluster, found.cores, found.memory_gb, found.accounts) == ("bigmachine", 64, 375, ("lab",))
    assert list(found.partitions.items()) == [
        ("gpu", Partition(2 * 86_400, {"a100": 2, "t4": 4})),
        ("free", Partition(None, {"any": 2})),
        ("long", Partition(7 * 86_400, {})),
    ]
    assert cluster.calls("sbatch") == []


def test_types_of_gpus_that_begin_with_a_digit_are_surveyed_read_and_asked_for(cluster: FakeSlurm) -> None:
    cluster.answers("sinfo", "gpu|48|128000|gpu:3090:8(S:0-1),gpu:2080ti:4,gpu:1g.10gb:7(S:0)\n")
    found = survey("me")
    kinds = {"1g.10gb": 7, "2080ti": 4, "3090": 8}
    assert found.partitions["gpu"].gpus == kinds
    assert read_preset(written(render_preset(found, "mine"))).partitions["gpu"].gpus == kinds
    assert plan(preset="mine", gres="gpu:3090:2").gpus == Gpus("3090", 2)
    assert plan(preset="mine", gres="gpu:2080ti").gpus == Gpus("2080ti", 1)


def test_a_preset_that_was_written_is_read_as_the_survey_was(cluster: FakeSlurm) -> None:
    found = survey("me")
    read = read_preset(written(render_preset(found, "mine")))
    assert (read.name, read.title, read.cores, read.memory_gb) == ("mine", "bigmachine", 64, 375)
    assert (read.seconds, read.account, read.modules) == (86_400, "lab", ())
    assert list(read.partitions.items()) == list(found.partitions.items())


def test_python_modules_and_several_accounts_are_comments(cluster: FakeSlurm, tmp_path: Path) -> None:
    listed = r"/apps/all:\nGCC/12.2.0\nPython/3.11.5\nPython/3.12.3\nPython-bundle/1\n"
    (tmp_path / ".bash_profile").write_text(f"module() {{ printf '{listed}' >&2; }}\n")
    cluster.answers("sacctmgr", "lab\nother\n")
    found = survey("me")
    assert found.modules == ("Python/3.12.3", "Python/3.11.5")
    text = render_preset(found, "mine")
    assert unmentioned(text, "Python/3.12.3", "lab, other") == []
    assert (read := read_preset(written(text))).account is None
    assert read.modules == ()


@pytest.mark.parametrize(("out", "code"), [("", 1), ("", 0)])
def test_a_cluster_that_tells_no_accounts_is_described_without(cluster: FakeSlurm, out: str, code: int) -> None:
    cluster.answers("sacctmgr", out, error="accounting storage is not supported", code=code)
    assert survey("me").accounts == ()


def test_a_cluster_without_a_partition_to_use_is_refused(cluster: FakeSlurm) -> None:
    cluster.answers("scontrol", "ClusterName = empty\n")
    with pytest.raises(UsageError):
        survey("me")


def test_slurm_that_is_not_there_is_said_so(cluster: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.no_more(monkeypatch)
    with pytest.raises(SlurmSilentError):
        survey("me")


def test_init_writes_a_preset_that_launches_and_replaces_it_only_by_force(cluster: FakeSlurm) -> None:
    made = hpo_here("cluster", "init", cwd=Path.cwd())
    assert made.returncode == 0, made.stderr
    path = Path(made.stdout.strip())
    assert path == own_folder() / "bigmachine.toml"
    path.write_text("cores = 3\n")
    again = hpo_here("cluster", "init", cwd=Path.cwd())
    assert (again.returncode, path.read_text()) == (9, "cores = 3\n")
    assert unmentioned(again.stderr, str(path), "--force", "--name") == []
    assert hpo_here("cluster", "init", "--force", cwd=Path.cwd()).returncode == 0

    listed = json.loads(hpo_here("slurm", "presets", "--json", cwd=Path.cwd()).stdout)
    assert listed["bigmachine"]["partitions"]["gpu"] == {"seconds": 172_800, "gpus": {"a100": 2, "t4": 4}}
    script = hpo_here(
        *("launch", "digits", "--on", "slurm", "--preset", "bigmachine", "--dry-run"),
        *("--storage", "postgresql://me@db1/hpo"),
        cwd=Path.cwd(),
    )
    assert unmentioned(script.stdout, "--partition=gpu", "--gres=gpu:a100:1", "--account=lab") == []


def test_init_writes_for_a_project_under_another_name(cluster: FakeSlurm) -> None:
    made = hpo_here("cluster", "init", "--here", "--name", "mine", cwd=Path.cwd())
    assert Path(made.stdout.strip()) == Path.cwd() / "hpo-presets" / "mine.toml"
    assert find_preset("mine").title == "bigmachine"


@pytest.mark.parametrize("name", ["generic", "a/b", "../a", "", "-x"])
def test_a_name_that_cannot_be_is_refused(cluster: FakeSlurm, name: str) -> None:
    assert hpo_here("cluster", "init", f"--name={name}", cwd=Path.cwd()).returncode == 2
    assert cluster.calls("sinfo") == []


def test_a_preset_of_the_folder_goes_before_the_user_s_and_that_before_the_shipped(cluster: FakeSlurm) -> None:
    written('title = "user"', "grace")
    assert find_preset("grace").title == "user"
    (folder := Path("hpo-presets")).mkdir()
    (folder / "grace.toml").write_text('title = "folder"')
    assert find_preset("grace").title == "folder"
    assert preset_names().count("grace") == 1


def test_limits_and_defaults_of_an_own_preset_are_those_of_its_jobs(cluster: FakeSlurm) -> None:
    written(
        'cores = 8\nmemory_gb = 20\ntime = "12:00:00"\naccount = "lab"\nmodules = ["Python/3.11"]\n'
        '[partitions.main]\ntime = "1-00:00:00"\ngpus = { any = 2 }\n[partitions.endless]\n'
    )
    made = plan(preset="mine")
    assert (made.partition, made.gpus, made.seconds, made.account) == ("main", Gpus(None, 1), 43_200, "lab")
    assert (made.memory, made.modules) == ("8G", ("Python/3.11",))
    assert plan(preset="mine", account="other", gres="gpu:2").gpus == Gpus(None, 2)
    assert plan(preset="mine", partition="endless", time="9-00").seconds == 9 * 86_400
    assert plan(preset="mine", one_node=True).node is not None
    for wishes in ({"gres": "gpu:3"}, {"gres": "gpu:a100"}, {"time": "2-00"}, {"cpus": 9}, {"memory": "21G"}):
        with pytest.raises(UsageError):
            plan(preset="mine", **wishes)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cores = 0\nmemry_gb = 3", ["2 problems", "cores", "memry_gb"]),
        ('modules = ["a; rm -rf /"]', ["1 problem", "modules.0"]),
        ('[partitions."a b"]', ["partitions", "a b"]),
        ('[partitions.a]\ntime = "tomorrow"', ["partitions.a.time", "HOURS"]),
        ('[partitions.a]\ngpus = { "a:b" = 1 }', ["partitions.a.gpus.a:b"]),
        ("cores", ["TOML"]),
    ],
)
def test_a_file_with_errors_is_refused_with_all_of_them_and_the_others_are_listed(
    cluster: FakeSlurm, caplog: pytest.LogCaptureFixture, text: str, named: list[str]
) -> None:
    path = written(text)
    with pytest.raises(UsageError) as caught:
        find_preset("mine")
    assert unmentioned(str(caught.value), str(path), *named) == []
    assert "mine" not in all_presets()
    assert "grace" in all_presets()
    assert str(path) in caplog.text
