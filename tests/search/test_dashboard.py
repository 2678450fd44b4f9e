"""What can be done through the dashboard, and by whom."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import optuna
import pytest
import sqlalchemy as sa
from optuna_dashboard import wsgi

from hpo.errors import UsageError
from hpo.search.admin.studies import delete_study, rename_study
from hpo.search.creation import create_or_open
from hpo.search.dashboard import actions
from hpo.search.dashboard.actions import DONE, REFUSED
from hpo.search.dashboard.app import DETAIL, PAGE
from hpo.search.dashboard.guard import ALIVE, Guard, own_names
from hpo.search.dashboard.markdown import code, text
from hpo.search.dashboard.server import serve_dashboard
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.optuna_mirror import optuna_tables
from hpo.search.queries.listing import list_studies
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study, open_study
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed, ended, trained
from tests.mention import unmentioned
from tests.search.planned import make_confirmation, make_plan
from tests.wait import LIMIT

EVIL = {"Host": "evil.example"}


@dataclass(frozen=True)
class Answer:
    """What a request got."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    @property
    def reason(self) -> str:
        """The sentence for the user; fails the test if there is none."""
        reason = json.loads(self.body)["reason"]
        assert isinstance(reason, str)
        assert len(reason) > 10
        return reason


@dataclass(frozen=True)
class Client:
    """Sends requests to a dashboard."""

    address: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request, with a body in JSON unless it is None."""
        place = urlsplit(self.address)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=LIMIT)
        try:
            kind = {} if body is None else {"Content-Type": "application/json"}
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, {**kind, **headers})
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read().decode())
        finally:
            connection.close()

    def detail(self, study_id: int) -> Any:
        """The description of a study."""
        return json.loads(self.ask("GET", f"/api/studies/{study_id}").body)


@contextmanager
def dashboard(database: Database, **options: Any) -> Iterator[Client]:
    """A client of a dashboard on any free port."""
    ready = threading.Event()
    found: list[Any] = []

    def note(item: Any) -> None:
        found.append(item)
        if len(found) == 2:
            ready.set()

    def draw(study: Study, number: int | None) -> str:
        return f"<svg>{study.name} {number}</svg>"

    given = {"port": 0, "on_ready": note, "on_server": note, "draw": draw, **options}
    thread = threading.Thread(target=serve_dashboard, args=(database,), kwargs=given)
    thread.start()
    try:
        assert ready.wait(LIMIT)
        yield Client(str(found[0]))
    finally:
        found[1].shutdown()
        thread.join()


@pytest.fixture
def study(any_database: Database, name: str) -> Study:
    """Three of nine trials are complete; a fourth is running."""
    study = create_or_open(any_database, name, make_spec(9))
    trained(study)
    claimed(study)
    return study


@pytest.fixture
def small(database: Database) -> Study:
    """The same on SQLite, without the fourth."""
    study = create_or_open(database, "small", make_spec(9))
    trained(study)
    return study


def everything(database: Database) -> dict[str, list[Any]]:
    """All rows of all tables."""
    tables = (*schema.own_tables, *optuna_tables().values())
    return database.read(
        lambda connection: {table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in tables}
    )


class TestRoutes:
    def test_every_route_of_the_installed_dashboard_that_changes_something_is_known(self) -> None:
        app: Any = wsgi(optuna.storages.InMemoryStorage())
        routes = {(route.method, route.rule) for route in app.routes}
        changing = {route for route in routes if route[0] != "GET"}
        assert changing == {*DONE, *REFUSED}
        assert not set(DONE) & set(REFUSED)
        assert {PAGE, DETAIL, ("GET", "/api/studies")} <= routes

    def test_what_is_refused_changes_nothing_and_says_why(self, small: Study) -> None:
        trial = 1
        with dashboard(small.database) as client:
            before = everything(small.database)
            for method, rule in REFUSED:
                path = rule.replace("<study_id:int>", str(small.study_id)).replace("<trial_id:int>", str(trial))
                path = re.sub("<[^>]*>", "a1", path)
                for slash in ("", "/"):
                    for body in (None, {}, {"study_name": "x", "directions": ["maximize"], "state": "Fail"}):
                        answer = client.ask(method, path + slash, body)
                        assert answer.status == 403, (method, path)
                        assert answer.reason
            assert everything(small.database) == before

    @pytest.mark.parametrize("is_read_only", [True, False])
    def test_a_request_that_no_version_knows_is_refused(self, small: Study, is_read_only: bool) -> None:
        with dashboard(small.database, read_only=is_read_only) as client:
            before = everything(small.database)
            for method in ("PUT", "PATCH", "POST", "DELETE", "OPTIONS"):
                assert client.ask(method, "/api/studies/1/anything", {}).status in (404, 405)
                assert client.ask(method, "/dashboard", {}).status == 405
            assert everything(small.database) == before

    def test_looking_only_refuses_what_is_done_otherwise(self, small: Study) -> None:
        here = f"/api/studies/{small.study_id}"
        with dashboard(small.database, read_only=True) as client:
            before = everything(small.database)
            for method, path, body in (
                ("DELETE", here, {}),
                ("POST", f"{here}/rename", {"study_name": "x"}),
                ("PUT", f"{here}/note", {"version": 2, "body": "x"}),
                ("PUT", f"{here}/1/note", {"version": 2, "body": "x"}),
                *((method, re.sub("<[^>]*>", "1", rule), {}) for method, rule in REFUSED),
            ):
                answer = client.ask(method, path, body)
                assert answer.status == 403
                assert unmentioned(answer.reason, "--read-only") == []
            assert everything(small.database) == before
            assert client.ask("GET", here).status == 200


class TestChanges:
    def test_a_study_is_renamed_with_all_its_trials(self, study: Study) -> None:
        before = read_trials(study)
        with dashboard(study.database) as client:
            path = f"/api/studies/{study.study_id}/rename"
            busy = client.ask("POST", path, {"study_name": f"{study.name} new"})
            assert busy.status == 400
            assert unmentioned(busy.reason, "`hpo stop --now") == []
            delete_leases(study)
            answer = client.ask("POST", path, {"study_name": f"{study.name} new"})
            assert answer.status == 201
            assert json.loads(answer.body)["study_name"] == f"{study.name} new"
            note = client.detail(study.study_id)["trials"][1]["note"]["body"]
            assert f"{study.name} new" in note
        renamed = open_study(study.database, f"{study.name} new")
        assert [row.auc for row in read_trials(renamed)] == [row.auc for row in before]

    def test_a_study_that_is_deleted_while_it_is_renamed_is_not_found(
        self, small: Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def rename_and_lose(database: Database, old: str, new: str) -> None:
            rename_study(database, old, new)
            delete_study(database, new)

        monkeypatch.setattr(actions, "rename_study", rename_and_lose)
        with dashboard(small.database) as client:
            answer = client.ask("POST", f"/api/studies/{small.study_id}/rename", {"study_name": "new"})
        assert answer.status == 404

    def test_a_name_that_is_taken_or_not_allowed_is_refused(self, small: Study) -> None:
        create_or_open(small.database, "taken", make_spec(2))
        with dashboard(small.database) as client:
            path = f"/api/studies/{small.study_id}/rename"
            for new, status in (("taken", 409), ("", 400), (" x", 400), (7, 400), (None, 400)):
                answer = client.ask("POST", path, {"study_name": new})
                assert (answer.status, bool(answer.reason)) == (status, True)
            assert client.ask("POST", path, b"{").status == 400
            assert client.ask("POST", path, b"[" * 60_000).status == 400
            assert client.ask("POST", path, b"{}", **{"Content-Length": "two"}).status == 400
            assert client.ask("POST", path, ["x"]).status == 400
            assert client.ask("POST", "/api/studies/77/rename", {"study_name": "x"}).status == 404
        assert {row.name for row in list_studies(small.database)} == {"small", "taken"}

    @pytest.mark.parametrize("body", [None, {}, {"remove_associated_artifacts": False}])
    def test_a_study_is_deleted_in_all_tables(self, study: Study, body: Any) -> None:
        with dashboard(study.database) as client:
            path = f"/api/studies/{study.study_id}"
            assert client.ask("DELETE", path, body).status == 400
            assert study.name in {row.name for row in list_studies(study.database)}
            delete_leases(study)
            assert client.ask("DELETE", path, body).status == 204
            assert client.ask("DELETE", path, body).status == 404
            assert client.ask("GET", path).status == 404
        assert study.name not in {row.name for row in list_studies(study.database)}
        query = sa.select(sa.func.count()).where(schema.trials.c.study_id == study.study_id)
        assert study.database.read(lambda connection: connection.scalar(query)) == 0

    def test_a_study_is_not_deleted_with_a_confirmation_that_nobody_named(self, small: Study) -> None:
        plan = make_plan().model_copy(update={"search": "small"})
        confirmation = create_or_open(small.database, "small-confirm", make_confirmation(plan))
        with dashboard(small.database) as client:
            answer = client.ask("DELETE", f"/api/studies/{small.study_id}")
            assert answer.status == 409
            assert unmentioned(answer.reason, "small-confirm") == []
            assert client.ask("DELETE", f"/api/studies/{confirmation.study_id}").status == 204
            assert client.ask("DELETE", f"/api/studies/{small.study_id}").status == 204

    def test_a_study_that_is_not_hpos_is_deleted_as_ever_and_not_renamed(self, database: Database) -> None:
        stock = optuna.create_study(study_name="stock", storage=database.optuna)
        with dashboard(database) as client:
            path = f"/api/studies/{stock._study_id}"
            assert client.ask("POST", f"{path}/rename", {"study_name": "x"}).status == 403
            assert client.detail(stock._study_id)["note"] == {"version": 0, "body": ""}
            assert client.ask("DELETE", path).status == 204
        assert optuna.get_all_study_names(database.optuna) == []

    def test_notes_take_the_place_of_those_that_are_generated(self, study: Study) -> None:
        path = f"/api/studies/{study.study_id}"
        with dashboard(study.database) as client:
            detail = client.detail(study.study_id)
            trial = detail["trials"][1]
            for place, before in ((path, detail["note"]), (f"{path}/{trial['trial_id']}", trial["note"])):
                assert before["version"] == 1
                for version, status in ((1, 409), (7, 409), (2, 204), (2, 409), (3, 204)):
                    body = {"version": version, "body": f"mine {version} of {place}"}
                    assert client.ask("PUT", f"{place}/note", body).status == status
            after = client.detail(study.study_id)
            assert after["note"] == {"version": 3, "body": f"mine 3 of {path}"}
            assert after["trials"][1]["note"]["body"] == f"mine 3 of {path}/{trial['trial_id']}"
            assert after["trials"][2]["note"] == detail["trials"][2]["note"]

    def test_a_note_needs_a_text_a_version_and_a_trial_of_the_study(self, small: Study) -> None:
        other = create_or_open(small.database, "other", make_spec(2))
        path = f"/api/studies/{small.study_id}"
        with dashboard(small.database) as client:
            for body in (
                {},
                {"version": 2},
                {"body": "x"},
                {"version": "2", "body": "x"},
                {"version": 2, "body": 5},
                [],
            ):
                assert client.ask("PUT", f"{path}/note", body).status == 400
            good = {"version": 2, "body": "x"}
            assert client.ask("PUT", f"/api/studies/{other.study_id}/1/note", good).status == 404
            assert client.ask("PUT", f"{path}/99/note", good).status == 404
            assert client.ask("PUT", "/api/studies/999999/note", good).status == 404


def delete_leases(study: Study) -> None:
    """Let the workers of a study lose their leases."""
    change = sa.update(schema.trials).where(schema.trials.c.study_id == study.study_id)
    with study.database.engine.begin() as connection:
        connection.execute(change.values(lease_until=0.0))


class TestNotes:
    def test_a_trial_that_goes_on_has_a_new_note_and_one_that_ended_the_old(
        self, small: Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hpo.search.dashboard.notes._SECONDS", 0.0)
        held = claimed(small)
        with dashboard(small.database) as client:
            first = [trial["note"]["body"] for trial in client.detail(small.study_id)["trials"]]
            ended(held, "failed", reason="out of luck")
            second = [trial["note"]["body"] for trial in client.detail(small.study_id)["trials"]]
        assert first[:3] == second[:3]
        assert "out of luck" not in first[3]
        assert "out of luck" in second[3]

    def test_a_study_that_takes_the_id_of_another_has_its_own_notes(self, small: Study) -> None:
        with dashboard(small.database) as client:
            client.detail(small.study_id)
            delete_study(small.database, "small")
            next_one = create_or_open(small.database, "next", make_spec(5))
            trained(next_one, (0.6,))
            assert next_one.study_id == small.study_id
            detail = client.detail(next_one.study_id)
        assert unmentioned(detail["note"]["body"], "next", 5) == []
        assert "hpo replay next 0" in detail["trials"][0]["note"]["body"]

    @pytest.mark.parametrize(
        "given",
        [
            "<script>alert(1)</script>",
            "[click](http://evil.example)",
            "![x](http://evil.example/x.png)",
            "**bold** _it_ `code` | cell |\n\n# heading",
            "http://evil.example www.evil.example a@evil.example",
            "&lt;b&gt; \\<b> $x$ ~~gone~~",
        ],
    )
    def test_text_is_shown_as_it_is(self, database: Database, given: str) -> None:
        from markdown_it import MarkdownIt

        markdown = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
        shown = " ".join(given.split("\n"))
        for written in (f"## {text(given)} end", f"It is {text(given)}.", f"{code(given)}", f"a {code(given)} b"):
            page = markdown.render(written)
            tags = set(re.findall(r"<(/?\w+)", page))
            assert tags <= {"h2", "/h2", "p", "/p", "code", "/code"}
            plain = re.sub("<[^>]*>", "", page).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
            assert shown in plain.replace("&amp;", "&")
        table = markdown.render(
            f"| a | b |\n|---|---|\n| {code(given, in_table=True)} | {text(given, in_table=True)} |"
        )
        assert table.count("<td>") == 2

    def test_names_and_reasons_are_text_in_the_notes(self, database: Database) -> None:
        study = create_or_open(database, "<img src=x onerror=alert(1)> *a*", make_spec(3))
        ended(claimed(study), "failed", reason="<script>alert(2)</script> [a](javascript:alert(3))")
        with dashboard(database) as client:
            detail = client.detail(study.study_id)
        for note in (detail["note"]["body"], detail["trials"][0]["note"]["body"]):
            outside_code = re.sub("`[^`]*`", "", note)
            assert not re.search(r"(?<!\\)[<\[*]\w", outside_code.replace("**", ""))


class TestGuard:
    @pytest.mark.parametrize("is_read_only", [True, False])
    def test_other_names_and_other_pages_are_refused(self, small: Study, is_read_only: bool) -> None:
        refused = [
            {"Host": "evil.example"},
            {"Host": "evil.example:80"},
            {"Host": "localhost.evil.example"},
            {"Host": "localhost@evil.example"},
            {"Host": "203.0.113.7"},
            {"Host": ""},
            {"Origin": "http://evil.example"},
            {"Origin": "http://localhost:1"},
            {"Origin": "null"},
            {"Origin": ""},
        ]
        asked = []
        with dashboard(small.database, read_only=is_read_only) as client:
            for headers in refused:
                for method in ("GET", "DELETE"):
                    answer = client.ask(method, f"/api/studies/{small.study_id}", {}, **headers)
                    assert answer.reason
                    asked.append((headers, method, answer.status))
                for path in ("/", "/dashboard", "/csv/1", "/static/bundle.js"):
                    asked.append((headers, path, client.ask("GET", path, None, **headers).status))
        assert len(asked) == 60
        assert [one for one in asked if one[-1] != 403] == []
        assert len(read_trials(small)) == 3

    @pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "LOCALHOST", "[::1]:80", "localhost."])
    def test_loopback_has_many_names_and_any_port_as_behind_a_tunnel(self, small: Study, host: str) -> None:
        with dashboard(small.database) as client:
            headers = {"Host": host, "Origin": f"http://{host}"}
            assert client.ask("GET", f"/api/studies/{small.study_id}", None, **headers).status == 200
            note = {"version": 2, "body": "x"}
            assert client.ask("PUT", f"/api/studies/{small.study_id}/note", note, **headers).status == 204

    def test_no_other_page_may_show_it_in_a_frame(self, small: Study) -> None:
        with dashboard(small.database) as client:
            for path in ("/dashboard", "/api/studies", "/nothing"):
                assert client.ask("GET", path).headers["X-Frame-Options"] == "DENY"

    def test_outside_this_machine_a_token_is_needed_and_kept_after_the_first_visit(self, small: Study) -> None:
        with dashboard(small.database, study=small, host="0.0.0.0") as client:
            place = urlsplit(client.address)
            assert place.hostname == socket.gethostname().lower()
            local = Client(f"http://127.0.0.1:{place.port}")
            page, token = place.path, place.query
            assert token.startswith("token=")
            for path in (page, "/", "/api/studies", f"{page}?token=", f"{page}?token=é", f"{page}?{token}x"):
                assert local.ask("GET", path.replace("é", "%C3%A9")).status == 401
            assert local.ask("DELETE", f"/api/studies/{small.study_id}?{token}", {}).status in (302, 401)
            visit = local.ask("GET", f"{page}?{token}&numbers=1")
            assert (visit.status, visit.headers["Location"]) == (302, f"{page}?numbers=1")
            cookie = visit.headers["Set-Cookie"].split(";")
            assert {" HttpOnly", " SameSite=Lax"} <= set(cookie)
            assert local.ask("GET", "/api/studies", None, Cookie=cookie[0]).status == 200
            assert local.ask("GET", "/api/studies", None, Cookie=cookie[0] + "x").status == 401
            bearer = token.removeprefix("token=")
            assert local.ask("GET", "/api/studies", None, Authorization=f"Bearer {bearer}").status == 200
            assert local.ask("GET", "/api/studies", None, Cookie=cookie[0], **EVIL).status == 403
            assert local.ask("GET", ALIVE).status == 200
            assert local.ask("GET", f"//evil.example?{token}").headers["Location"] == "/evil.example"
        assert len(read_trials(small)) == 3

    @pytest.mark.parametrize("token", ["two words", "a;b", "schlüssel", "€"])
    def test_a_token_may_have_any_letters(self, small: Study, token: str) -> None:
        with dashboard(small.database, token=token) as client:
            place = urlsplit(client.address)
            visit = client.ask("GET", f"{place.path}?{place.query}")
            cookie = visit.headers["Set-Cookie"].partition(";")[0]
            assert client.ask("GET", "/api/studies", None, Cookie=cookie).status == 200

    def test_a_token_may_be_given_for_this_machine_too(self, small: Study) -> None:
        with dashboard(small.database, token="abc") as client:
            assert client.address.endswith("?token=abc")
            assert client.ask("GET", "/api/studies").status == 401
            assert client.ask("GET", "/api/studies", None, Authorization="Bearer abc").status == 200

    @pytest.mark.parametrize("host", ["", " ", "no.such.host.invalid", "é" * 300, "203.0.113.7"])
    def test_an_address_that_is_not_this_machines_is_refused(self, database: Database, host: str) -> None:
        with pytest.raises(UsageError, match="--host"):
            serve_dashboard(database, host=host, port=0, draw=lambda *_: "")

    def test_names_are_compared_whole_and_without_case(self) -> None:
        guard = Guard(own_names("Node7.Cluster"), any_address=True)
        assert all(
            guard.allows_host(host) for host in ("node7.cluster", "NODE7.cluster:80", "10.0.0.7:1", "[fe80::1]:1")
        )
        assert not any(
            guard.allows_host(host) for host in ("", "node7", "x.node7.cluster", "[::1", "a b", "10.0.0.7.evil")
        )


class TestErrors:
    def test_ids_and_numbers_that_cannot_be_are_told_in_a_sentence(
        self, study: Study, capfd: pytest.CaptureFixture[str]
    ) -> None:
        here = f"/api/studies/{study.study_id}"
        with dashboard(study.database) as client:
            large, huge = str(2**63), "9" * 5000
            for path in (
                *(f"/api/studies/{number}" for number in (large, huge, "-1", str(2**31))),
                f"/api/studies/{large}/param_importances",
                f"/artifacts/{study.study_id}/{large}/1-1",
                *(f"{here}?after={after}" for after in ("x", "", "-1", large, "1.5", "%00")),
            ):
                answer = client.ask("GET", path)
                assert (answer.status, bool(answer.reason)) == (400, True), path
            nobody = ("/api/studies/999999", "/artifacts/999999/1", "/csv/999999", "/api/studies/999999/plot/edf")
            for path in (*nobody, "/nothing"):
                assert client.ask("GET", path).status == 404, path
            assert client.ask("DELETE", f"/api/studies/{large}").status == 400
            assert client.ask("GET", f"{here}?after=2").status == 200
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err + printed.out

    def test_an_unknown_error_is_one_line_in_the_log_and_json_for_the_page(
        self, small: Study, log: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("first line\nsecond line")

        monkeypatch.setattr("hpo.search.dashboard.notes.Notes.add", broken)
        with dashboard(small.database) as client:
            answer = client.ask("GET", f"/api/studies/{small.study_id}")
        assert (answer.status, bool(answer.reason)) == (500, True)
        (line,) = [message for message in log if "first line" in message]
        assert "second line" not in line
        assert unmentioned(line, "RuntimeError", f"/api/studies/{small.study_id}") == []
        assert "Traceback" not in capfd.readouterr().err

    def test_the_page_has_a_script_that_shows_why_something_was_refused(self, small: Study) -> None:
        with dashboard(small.database) as client:
            page = client.ask("GET", "/dashboard/studies/1")
            (script,) = re.findall(r'<script src="(/hpo/[^"]*)"', page.body)
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
            found = client.ask("GET", script)
        assert found.headers["Content-Type"].startswith("text/javascript")
        assert "window.fetch" in found.body

    def test_a_figure_runs_nothing(self, small: Study) -> None:
        with dashboard(small.database) as client:
            (artifact,) = client.detail(small.study_id)["artifacts"]
            answer = client.ask("GET", f"/artifacts/{small.study_id}/{artifact['artifact_id']}")
            assert answer.status == 200
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert client.ask("GET", f"/artifacts/{small.study_id}/ff-1").status == 404


def test_a_client_that_takes_no_compressed_answer_gets_the_files_of_the_page(any_database: Database) -> None:
    with dashboard(any_database) as client:
        place = urlsplit(client.address)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=LIMIT)
        for path, status in (("/static/bundle.js", 200), ("/static/..%2f..%2fapp.py", 403)):
            connection.putrequest("GET", path, skip_accept_encoding=True)
            connection.endheaders()
            with connection.getresponse() as reply:
                assert reply.status == status, path
        connection.close()
