"""docker-compose.yml, the Dockerfile and their entry: valid, closed to the outside, and what they run runs."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from sqlalchemy.engine import URL

from hpo.search.database.address import resolve_address
from tests.cli.run import hpo_forked, hpo_here
from tests.project.documents import parse
from tests.search.conftest import throw_away
from tests.wait import until

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "docker" / "entry.py"
PASSWORD = "p@ss/w:rd%{x} y"
DIGITS = [
    *("--dataset", "digits", "--trials", "2", "--set", "budget.epochs=1", "--set", "search.first_rung=1"),
    *("--set", "fixed.network=linear"),
]


def substituted(text: str, given: Mapping[str, str] | None = None) -> str:
    """With what is given for each ${NAME:-default}, else its default, as compose reads it."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: (given or {}).get(found[1], found[2]), text)


COMPOSE: dict[str, Any] = yaml.safe_load(substituted((ROOT / "docker-compose.yml").read_text()))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("hpo")}


def command_lines(service: dict[str, Any]) -> list[list[str]]:
    """What a service runs after its entry: one command, or those of a shell line."""
    command = [*service.get("entrypoint", [])[2:], *service["command"]]
    if command[:2] != ["sh", "-c"]:
        return [command]
    return [shlex.split(line.removeprefix("exec ")) for line in re.split(r"\s*(?:;|&&)\s*", command[2])]


@pytest.fixture(scope="module")
def docker_compose() -> str:
    """The path of docker-compose; in CI it has to be there, and root installs it."""
    if shutil.which("docker-compose") is None:
        if not os.environ.get("CI"):
            pytest.skip("docker-compose is not installed")
        install = ["apt-get", "install", "--yes", "--no-install-recommends", "docker-compose"]
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "update"], check=True, capture_output=True)
            subprocess.run(
                install, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            )
    found = shutil.which("docker-compose")
    assert found, "docker-compose is needed in CI: apt-get install docker-compose"
    return found


@pytest.mark.parametrize("profiles", [[], ["gpu", "tools"]], ids=["plain", "all profiles"])
def test_the_file_is_valid(docker_compose: str, profiles: list[str]) -> None:
    arguments = [argument for profile in profiles for argument in ("--profile", profile)]
    run = subprocess.run(
        [docker_compose, *arguments, "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_nothing_is_published_beyond_loopback() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)
    assert not any(service.get("network_mode") == "host" for service in SERVICES.values())
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert SERVICES["db"]["networks"] == ["inside"]


def test_the_password_comes_by_a_secret_file_only() -> None:
    assert COMPOSE["secrets"]["hpo_password"].keys() == {"file"}
    for name, service in SERVICES.items():
        assert service["secrets"] == ["hpo_password"], name
        for variable, value in service["environment"].items():
            assert "PASSWORD" not in variable or (variable.endswith("_FILE") and value == "/run/secrets/hpo_password")
            assert not re.search(r"://[^/]*:[^/]*@", str(value)), f"{name}: {variable} carries a password"


def test_the_database_is_pinned_to_a_major_version_and_everything_waits_until_it_is_ready() -> None:
    assert re.fullmatch(r"postgres:\d+", SERVICES["db"]["image"])
    for name, service in OURS.items():
        waits = {on: condition["condition"] for on, condition in service["depends_on"].items()}
        assert waits["db"] == "service_healthy", name
        assert name == "migrate" or waits["migrate"] == "service_completed_successfully", name
    assert {"db", "dashboard"} <= {name for name, service in SERVICES.items() if "healthcheck" in service}


def test_no_service_of_ours_keeps_a_right_that_its_entry_does_not_need() -> None:
    for name, service in OURS.items():
        assert service["cap_drop"] == ["ALL"], name
        assert set(service["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"}, name
        assert service["read_only"] is True, name


def test_gpus_are_asked_for_in_their_profile_only() -> None:
    asking = {name for name, service in SERVICES.items() if "deploy" in service}
    assert asking == {"worker-gpu"}
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert "profiles" not in SERVICES["worker"]


@pytest.mark.parametrize(("given", "workers"), [({}, "1"), ({"HPO_WORKERS": "4"}, "4")])
def test_workers_know_among_how_many_they_share_the_memory(given: dict[str, str], workers: str) -> None:
    service = yaml.safe_load(substituted((ROOT / "docker-compose.yml").read_text(), given))["services"]["worker"]
    words = service["command"]
    assert (str(service["scale"]), words[words.index("--sharing") + 1]) == (workers, workers)


@pytest.mark.parametrize("name", list(OURS))
def test_every_command_of_a_service_is_one_that_hpo_has(name: str) -> None:
    for word, *arguments in command_lines(OURS[name]):
        assert word == "hpo"
        if arguments != ["--help"]:
            parse(arguments)


def test_the_image_does_not_run_as_root_and_knows_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["hpo"]
    assert not [line for line in lines if re.match(r"(ARG|ENV) .*(PASSWORD|TOKEN|SECRET)", line)]
    assert "-c requirements.lock" in (ROOT / "Dockerfile").read_text()


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if path not in let_in] == []


def test_the_password_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker" / "secrets.sh", tmp_path)
    secret = tmp_path / "secrets" / "hpo_password"
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)
    first = secret.read_text()
    assert len(first.strip()) >= 32
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)
    assert secret.read_text() == first


class Container:
    """Stands for a container of ours: its folders, its environment, and the entry of the image."""

    def __init__(self, folder: Path, database: str, password: str = PASSWORD) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.run_dir.mkdir(exist_ok=True)
        secret = folder / "hpo_password"
        secret.write_text(password + "\n")
        secret.chmod(0o600)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HPO_")}
        self.environment = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HPO_DATABASE": database,
            "HPO_PASSWORD_FILE": str(secret),
            "HPO_RUN_DIR": str(self.run_dir),
        }

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command behind the entry, to its end."""
        return subprocess.run(
            [sys.executable, str(ENTRY), *command],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """The command behind the entry, left running."""
        return subprocess.Popen([sys.executable, str(ENTRY), *command], cwd=self.folder, env=self.environment)


def test_the_entry_hands_any_password_on_in_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    container = Container(tmp_path, "postgresql://hpo@db:5432/hpo")
    run = container.run("sh", "-c", "echo $HPO_STORAGE; env; cat /proc/$$/cmdline")
    assert run.returncode == 0, run.stderr
    file = Path(run.stdout.splitlines()[0].removeprefix("@"))
    assert "p@ss" not in run.stdout
    assert "p%40ss" not in run.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    url = resolve_address(f"@{file}")
    assert (url.username, url.password, url.host, url.port, url.database) == ("hpo", PASSWORD, "db", 5432, "hpo")


def test_the_entry_says_what_to_do_about_a_secret_that_is_missing_or_empty(tmp_path: Path) -> None:
    container = Container(tmp_path, "postgresql://hpo@db/hpo", password="")
    for run in (container.run("true"), container.run("true", HPO_PASSWORD_FILE=str(tmp_path / "none"))):
        assert run.returncode == 5
        assert "docker/secrets.sh" in run.stderr
        assert "Traceback" not in run.stderr


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can get to; pytest's own are closed to all but one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_entry_leaves_root_for_good_before_it_runs_anything(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    container = Container(open_folder, "postgresql://hpo@db/hpo")
    code = (
        "import os; print(os.getresuid(), os.getresgid(), os.getgroups());"
        "import pathlib; f = pathlib.Path(os.environ['HPO_STORAGE'][1:]); print(f.stat().st_uid, f.read_text()[:13])"
    )
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or pytest.skip("no Python that nobody may run")
    run = container.run(python, "-c", code, HPO_USER="nobody")
    assert run.returncode == 0, run.stderr
    user, group = nobody.pw_uid, nobody.pw_gid
    assert run.stdout.splitlines()[0] == f"{(user,) * 3} {(group,) * 3} [{group}]"
    assert run.stdout.splitlines()[1] == f"{user} postgresql://"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[URL]:
    """A database of its own, and a user of it with a password full of special characters."""
    for url in throw_away("postgresql", "compose"):
        role = f"hpo_compose_{os.getpid()}"
        admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD.replace('%', '%%')}'")
            connection.exec_driver_sql(f"ALTER DATABASE {url.database} OWNER TO {role}")
            connection.exec_driver_sql(f"ALTER SCHEMA public OWNER TO {role}")
        yield url.set(username=role, password=None, drivername="postgresql")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")
        admin.dispose()


@pytest.mark.slow
@pytest.mark.usefixtures("linear_network")
def test_what_the_services_run_makes_a_study_works_on_it_and_shows_it(tmp_path: Path, postgresql: URL) -> None:
    """The first service and the dashboard behind the entry, as processes; the others with the address of its file."""
    container = Container(tmp_path, postgresql.render_as_string())
    migrated = container.run(*SERVICES["migrate"]["command"])
    assert migrated.returncode == 0, migrated.stderr
    assert (container.run_dir / "address").exists()

    def run(*command: str, by: Callable[..., subprocess.CompletedProcess[str]] = hpo_here) -> str:
        assert command[0] == "hpo"
        done = by(*command[1:], cwd=tmp_path, HPO_STORAGE=f"@{container.run_dir / 'address'}")
        assert done.returncode == 0, done.stderr
        said.append(done.stdout + done.stderr)
        return done.stdout

    said = [migrated.stdout + migrated.stderr]
    for again in command_lines(SERVICES["migrate"]):
        run(*again)
    tool = [word for word in SERVICES["hpo"]["entrypoint"] if word == "hpo"]
    run(*tool, "launch", *DIGITS, "--on", "none")
    run(*({"breast": "digits"}.get(word, word) for word in SERVICES["worker"]["command"]), by=hpo_forked)
    assert json.loads(run(*tool, "status", "digits", "--json"))["finished"] == 2

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = [{"breast": "digits", "8080": str(port)}.get(word, word) for word in SERVICES["dashboard"]["command"]]
    dashboard = container.start(*served)
    try:
        until(lambda: dashboard.poll() is not None or answers(port), 300, pause=0.1)
        probe = [word.replace("8080", str(port)) for word in SERVICES["dashboard"]["healthcheck"]["test"][1:]]
        assert healthy(probe, container.environment), "the dashboard's health check never passed"
    finally:
        dashboard.terminate()
        dashboard.wait(30)
    assert not any(secret in "".join(said) for secret in (PASSWORD, "p%40ss"))


def answers(port: int) -> bool:
    """Whether a port of this machine takes connections."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def healthy(probe: list[str], environment: dict[str, str], seconds: float = 300) -> bool:
    """Whether a health check passes within some time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(0.5)
    return False
