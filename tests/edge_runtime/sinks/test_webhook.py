"""A webhook posts each event, tries again when that can help, and never tells a password."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from edge_runtime.errors import OutputError
from edge_runtime.sinks import Background, Webhook, webhook
from tests.support.results import ENTERED, LEFT, made_result


@dataclass
class Server:
    """A real HTTP server that answers with the statuses that it is told to, then with 204.

    Attributes:
        address: Host and port.
        answers: Statuses, or "hang up" or "silence".
        headers: Sent with each answer.
        requests: What came: path, headers and body.
    """

    address: str = ""
    answers: list[int | str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((self.path, dict(self.headers), json.loads(body)))
            answer = state.answers.pop(0) if state.answers else 204
            if answer == "silence":
                state.done.wait(20)
            if isinstance(answer, str):
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:  # where a redirect that is followed would come
            state.requests.append((self.path, {}, None))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.address = f"127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield state
        state.done.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _direct_and_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a proxy, and with short delays."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(webhook, "FIRST_DELAY_S", 0.01)


def test_each_event_is_posted_as_json(server: Server) -> None:
    with Webhook(f"http://{server.address}/hook?id=7", headers={"X-Device": "door"}) as sink:
        assert sink.write(made_result(LEFT, ENTERED))
    assert [(path, body["kind"], body["label"]) for path, _, body in server.requests] == [
        ("/hook?id=7", "left", "dog"),
        ("/hook?id=7", "entered", "cat"),
    ]
    headers = server.requests[0][1]
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Device"] == "door"


@pytest.mark.parametrize("answer", [500, 502, 503, 408, 429, "hang up", "silence"])
def test_what_may_pass_is_tried_again(server: Server, answer: int | str) -> None:
    server.answers = [answer, answer]
    Webhook(f"http://{server.address}/", timeout_s=2.0).send(ENTERED)
    assert len(server.requests) == 3
    assert {str(body) for _, _, body in server.requests} == {str(server.requests[0][2])}


@pytest.mark.parametrize("answer", [400, 401, 404, 413])
def test_what_will_not_pass_is_not(server: Server, answer: int) -> None:
    server.answers = [answer] * 3
    with pytest.raises(
        OutputError, match=f"The webhook at {server.address} did not accept the event: status {answer} "
    ):
        Webhook(f"http://{server.address}/secret/path").send(ENTERED)
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed_by_a_request_without_the_event(server: Server) -> None:
    server.answers, server.headers = [302], {"Location": "/elsewhere"}
    with pytest.raises(OutputError, match="status 302 Found; use the address that it redirects to"):
        Webhook(f"http://{server.address}/").send(ENTERED)
    assert [path for path, _, _ in server.requests] == ["/"]


def test_it_gives_up_after_its_attempts(server: Server) -> None:
    server.answers = [503] * 9
    with pytest.raises(OutputError, match="event in 4 attempts: status 503 Service Unavailable"):
        Webhook(f"http://{server.address}/", attempts=4).send(ENTERED)
    assert len(server.requests) == 4


def test_a_server_that_is_not_there_is_an_error_in_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
        with pytest.raises(OutputError) as caught:
            Webhook(f"http://me:s3cret@{address}/t0ken", attempts=2).send(ENTERED)
    assert str(caught.value) == (
        f"The webhook at {address} did not accept the event in 2 attempts: Connection refused."
    )


def test_delays_double_and_are_up_to_half_shorter(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr(webhook.time, "sleep", delays.append)
    monkeypatch.setattr(webhook, "FIRST_DELAY_S", 1.0)
    monkeypatch.setattr(webhook, "LONGEST_DELAY_S", 4.0)
    server.answers = [503] * 6
    with pytest.raises(OutputError):
        Webhook(f"http://{server.address}/", attempts=6).send(ENTERED)
    for delay, full in zip(delays, (1, 2, 4, 4, 4), strict=True):
        assert full / 2 <= delay <= full
    assert len(set(delays)) == 5


def test_user_and_password_of_the_address_become_a_header(server: Server) -> None:
    Webhook(f"http://me:p%40ss@{server.address}/").send(ENTERED)
    assert server.requests[0][1]["Authorization"] == "Basic " + b64encode(b"me:p@ss").decode()


def test_in_the_background_an_outage_loses_what_it_must_and_no_more(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [503, 503]
    with Background(Webhook(f"http://{server.address}/", attempts=2), close_timeout_s=20) as sink:
        assert sink.write(made_result(LEFT))
        assert sink.write(made_result(ENTERED))
    assert [body["kind"] for _, _, body in server.requests] == ["left", "left", "entered"]
    assert sink.failed == 1
    assert [record.message.partition(": ")[0] for record in caplog.records] == [
        f"The webhook at {server.address} did not accept the event in 2 attempts",
        f"The webhook at {server.address} works again; results lost so far",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:s3cret@host/",
        "me:s3cret@host",
        "http://",
        "http://me:s3/cret@host/",
        "http://me:1/s3cret@host/",
        "http://me:s3#cret@host/",
        "http://me:s3cret@host:99999/",
        "http://[me:s3cret@host/",
    ],
)
def test_what_is_no_address_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid address; use the form https://example\.com/events") as caught:
        Webhook(url)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_other_mistakes_are_found_before_anything_happens() -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1, got 0"):
        Webhook("http://host/", attempts=0)
    with pytest.raises(ValueError, match="header contains a line break"):
        Webhook("http://host/", headers={"Authorization": "Bearer a\nb"})
