"""Entry of the image: gives hpo its database's address without showing the password, leaves root, runs the command.

HPO_DATABASE: address without a password, as postgresql://hpo@db:5432/hpo. HPO_PASSWORD_FILE: a secret file with the
password. From both it writes a 0600 file in HPO_RUN_DIR, meant for a tmpfs, and sets HPO_STORAGE=@THAT-FILE.
HPO_USER: whom to become if started as root, which is needed where only root may read the secret.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit


def main(command: list[str]) -> None:
    """Becomes the command; ends with a sentence and exit code 5 if the secret cannot be read or is empty."""
    if not command:
        raise SystemExit("entry: no command given; try `hpo --help`")
    folder = Path(os.environ.get("HPO_RUN_DIR", "/run/hpo"))
    database, secret = os.environ.get("HPO_DATABASE"), os.environ.get("HPO_PASSWORD_FILE")
    password = _read(Path(secret)) if secret else None
    if os.geteuid() == 0 and (user := os.environ.get("HPO_USER")):
        _become(user, folder)
    if database and password is not None:
        os.environ["HPO_STORAGE"] = f"@{_write(folder / 'address', with_password(database, password))}"
    os.execvp(command[0], command)


def with_password(address: str, password: str) -> str:
    """The address with the password in it, every special character of it escaped."""
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def _read(secret: Path) -> str:
    try:
        # As PostgreSQL's own image reads it: without the newlines at the end.
        password = secret.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        _refuse(f"{secret} cannot be read ({error.strerror}); make it with docker/secrets.sh")
    return password or _refuse(f"{secret} is empty; make it with docker/secrets.sh")


def _write(file: Path, text: str) -> Path:
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
    return file


def _become(name: str, folder: Path) -> None:
    user = pwd.getpwnam(name)
    if folder.is_dir():
        os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o700)
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = user.pw_dir


def _refuse(sentence: str) -> str:
    print(f"entry: {sentence}", file=sys.stderr)
    raise SystemExit(5)


if __name__ == "__main__":
    main(sys.argv[1:])
