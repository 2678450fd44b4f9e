"""Notices of a study, as an HTTP server and a shell command get them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import hpo.launch.notify as notify
from hpo.errors import DeclinedError, StorageError, UsageError
from hpo.launch.notify import Event, Notice, Notifier, check_target, send
from tests.mention import unmentioned

NOTICE = Notice("a study", Event.ENDED, "study 'a' ended: 5 of 5", {"finished": 5, "auc": None})


class Server:
    """A server on this machine that keeps the documents it is sent, and answers with `code`."""

    def __init__(self) -> None:
        self.code, self.told = 200, list[dict[str, Any]]()
        here = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/json"
                here.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(here.code)
                if 300 < here.code < 400:
                    self.send_header("Location", "/moved")
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/hook/s3cret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def test_an_address_gets_a_json_document(server: Server) -> None:
    send([server.address], NOTICE)
    (told,) = server.told
    assert {name: told[name] for name in ("study", "event", "text", "finished", "auc")} == {
        "study": "a study",
        "event": "ended",
        "text": NOTICE.text,
        "finished": 5,
        "auc": None,
    }
    assert {"host", "time"} < told.keys()


def test_a_command_gets_the_same_document_on_standard_input_and_its_parts_in_the_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    send([f'{{ cat; echo "$HPO_STUDY|$HPO_EVENT|$HPO_TEXT"; }} > {out}; echo noise'], NOTICE)
    document, parts = out.read_text().splitlines()
    assert json.loads(document)["text"] == NOTICE.text
    assert parts == f"a study|ended|{NOTICE.text}"


def test_what_a_command_prints_is_no_result_of_hpo(capfd: pytest.CaptureFixture[str]) -> None:
    send(["echo noise; echo noise >&2"], NOTICE)
    assert capfd.readouterr() == ("", "")


def test_a_target_that_fails_is_one_warning_without_its_secret_and_the_others_are_told(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.code = 500
    refused = "http://127.0.0.1:9/hook/s3cret"
    send([server.address, refused, "echo no such room >&2; exit 3", f"cat > {tmp_path}/out"], NOTICE)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert unmentioned(caplog.text, 500, "127.0.0.1", "code 3", "no such room") == []
    assert "s3cret" not in caplog.text
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize(("code", "is_lost"), [(301, True), (308, True), (302, False), (303, False)])
def test_an_address_that_has_moved_is_told_and_one_that_shows_another_page_afterwards_is_not(
    server: Server, code: int, is_lost: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server.code = code
    send([server.address], NOTICE)
    assert len(server.told) == 1
    assert [unmentioned(record.message, code) for record in caplog.records] == [[]] * is_lost


def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(notify, "COMMAND_SECONDS", 0.1)
    begin = time.monotonic()
    send(["sleep 600; true"], NOTICE)
    assert time.monotonic() - begin < 300
    assert unmentioned(caplog.text, "0.1 s") == []


def test_a_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "URL_SECONDS", 0.1)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    silent = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    send([f"http://127.0.0.1:{silent.server_port}/"], NOTICE)
    silent.server_close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    "target",
    [
        *("https://hooks.example.org/a?b=c", "https://a.org:8443/%C3%BC", "http://[::1]:80/a", "https://mü.org/a"),
        *("mail -s hpo me", "curl -d @- https://a.org/b"),
    ],
)
def test_an_address_or_a_command_is_taken(target: str) -> None:
    check_target(target)


@pytest.mark.parametrize(
    "target",
    [
        *("", "  ", "ftp://a.org/b", "https://", "http:///a", "https://a.org/b c", "a\0b", "https://a.org/ü"),
        *("https://a.org:99999/b", "https://a.org:x/b", "https://me:secret@a.org/b", "https://[::1/b"),
    ],
)
def test_what_is_neither_is_refused(target: str) -> None:
    with pytest.raises(UsageError):
        check_target(target)


@pytest.mark.parametrize(
    ("study", "error", "events"),
    [
        ("s", StorageError("the server is gone\nmore"), ["failed"]),
        (None, UsageError("wrong"), []),
        ("s", DeclinedError("no"), []),
        ("s", KeyboardInterrupt(), []),
    ],
)
def test_an_error_of_a_study_is_told_and_goes_on(
    server: Server, study: str | None, error: BaseException, events: list[str]
) -> None:
    notifier = Notifier([server.address], study)
    with pytest.raises(type(error)), notifier.told_of_failure():
        raise error
    assert [told["event"] for told in server.told] == events
    assert all(unmentioned(told["text"], "s", "the server is gone") == [] for told in server.told)


def test_nobody_is_told_of_success_by_the_watch_for_errors(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(Notifier([server.address], "s").told_of_failure())
    assert server.told == []
