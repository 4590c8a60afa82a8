"""Limits of the server against clients that ask too often, open too much, send too slowly or never read."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import cv2
import httpx
import pytest

from edge_runtime.cli.main import main
from edge_runtime.errors import ServerError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.server.app import create_app
from edge_runtime.server.protection.limits import Limits
from tests.support.raw_http import Answer, ask, connect, get, post, read_answer
from tests.support.serving import Server, clip_of_all_classes, jpegs, serving
from tests.support.tiny import picture
from tests.support.waiting import wait_until

RED = cv2.imencode(".jpg", picture("red")[:, :, ::-1])[1].tobytes()
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_of_all_classes(tmp_path_factory.mktemp("clip") / "classes.avi")


@pytest.fixture(scope="module")
def strict(tiny_int8: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that loses its patience soon."""
    few = ("--max-connections", 24, "--max-client-connections", 12, "--max-uploads", 6, "--max-mib", 1)
    soon = ("--header-timeout", 1, "--body-timeout", 1, "--send-timeout", 2)
    photos = tmp_path_factory.mktemp("photos")
    with serving(tiny_int8, "--source", clip, "--collect", photos, "--max-rate", 1e6, *few, *soon) as server:
        server.client = httpx.Client(  # that keeps no connection, which would be closed in between
            base_url=server.address, timeout=60, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        wait_until(lambda: server.client.get("/healthz").status_code == 200)
        yield server
    assert server.said == []  # whatever strangers do, the log stays empty


@pytest.fixture(scope="module")
def slow(tiny_int8: Path) -> Iterator[Server]:
    """A server that takes a request a second of each client."""
    with serving(tiny_int8, "--source", "none", "--max-rate", 1) as server:
        yield server
    assert server.said == []


def refused(server: Server, reason: str) -> float:
    return server.metric(f'edge_runtime_refused_total{{reason="{reason}"}}')


def is_a_refusal(answer: Answer | None, status: int, words: str) -> bool:
    assert answer is not None
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.status == status
    assert list(answer.json()) == ["detail"]
    assert words in answer.json()["detail"]
    return True


class TestRate:
    def test_a_client_that_asks_too_often_is_told_when_to_come_back(self, slow: Server) -> None:
        answers = [ask(slow.address, get("/info"), client="127.0.0.2") for _ in range(12)]
        told = [answer for answer in answers if answer is not None and answer.status != 200]
        assert 1 <= len(answers) - len(told) < 12
        assert all(is_a_refusal(answer, 429, "at most 1 per second from one client") for answer in told)
        assert {answer.headers["retry-after"] for answer in told} == {"1"}
        time.sleep(1)
        answer = ask(slow.address, get("/info"), client="127.0.0.2")
        assert answer is not None
        assert answer.status == 200

    def test_others_are_served_meanwhile(self, slow: Server) -> None:
        while (answer := ask(slow.address, get("/info"), client="127.0.0.3")) is None or answer.status == 200:
            pass
        answer = ask(slow.address, get("/info"), client="127.0.0.4")
        assert answer is not None
        assert answer.status == 200

    def test_guessing_a_token_is_under_the_limit_and_so_are_the_figures(self, tiny_int8: Path) -> None:
        options = ("--source", "none", "--max-rate", 1, "--token", "a token of some length")
        with serving(tiny_int8, *options) as server:
            guesses = [ask(server.address, get(f"/info?token={guess}"), client="127.0.0.2") for guess in range(12)]
            statuses = [answer.status for answer in guesses if answer is not None]
            assert set(statuses) == {401, 429}
            figures = ask(server.address, get("/metrics", "Authorization: Bearer a token of some length"))
            assert figures is not None
            lines = figures.body.decode().splitlines()
            for reason, status in (("token", 401), ("rate", 429)):
                assert f'edge_runtime_refused_total{{reason="{reason}"}} {statuses.count(status)}' in lines
            # Neither is one of /predict's answers.
            assert [line for line in lines if line.startswith("edge_runtime_predict_requests_total")] == []
            scraped = ask(server.address, get("/metrics", "Authorization: Bearer x"), client="127.0.0.2")
            assert is_a_refusal(scraped, 429, "Too many requests")


class TestConnections:
    def test_one_client_can_t_take_all(self, strict: Server) -> None:
        before = refused(strict, "connections")
        with ExitStack() as opened:
            for _ in range(12):
                opened.enter_context(connect(strict.address, client="127.0.0.2")).sendall(get("/events"))
            wait_until(lambda: strict.metric("edge_runtime_viewers") == 12)
            answer = ask(strict.address, get("/info"), client="127.0.0.2")
            assert is_a_refusal(answer, 503, "at most 24, 12 per client")
            assert answer is not None
            assert (answer.headers["retry-after"], answer.headers["connection"]) == ("5", "close")
            other = ask(strict.address, get("/info"), client="127.0.0.3")
            assert other is not None
            assert other.status == 200
            assert refused(strict, "connections") == before + 1
        wait_until(lambda: strict.metric("edge_runtime_viewers") == 0)
        assert strict.metric("edge_runtime_connections") == 1

    def test_many_clients_can_t_open_more_than_there_are(self, strict: Server) -> None:
        with ExitStack() as opened:
            streams = []
            for number in range(40):
                stream = opened.enter_context(connect(strict.address, client=f"127.0.0.{2 + number % 8}"))
                stream.sendall(get("/events"))
                streams.append(stream)
            answers = [read_answer(stream) for stream in streams]
            statuses = [None if answer is None else answer.status for answer in answers]
            # The others were told, or cut off where too many had been told already.
            assert statuses.count(200) in (23, 24)
            assert 503 in statuses
            assert set(statuses) <= {200, 503, None}
        wait_until(lambda: ask(strict.address, get("/info"), client="127.0.0.9").status == 200)  # type: ignore[union-attr]

    def test_an_upload_that_is_refused_hears_why(self, strict: Server) -> None:
        with ExitStack() as opened:
            for _ in range(12):
                opened.enter_context(connect(strict.address, client="127.0.0.2")).sendall(get("/events"))
            wait_until(lambda: strict.metric("edge_runtime_viewers") == 12)
            for _ in range(10):
                answer = ask(strict.address, post("/predict", bytes(200_000)), client="127.0.0.2")
                assert is_a_refusal(answer, 503, "connections")

    def test_one_client_can_t_take_all_uploads(self, strict: Server) -> None:
        with ExitStack() as opened:
            for _ in range(3):
                slow = opened.enter_context(connect(strict.address, client="127.0.0.2"))
                slow.sendall(post("/predict", b"", length=1000))

            def is_refused() -> bool:
                answer = ask(strict.address, post("/predict", RED), client="127.0.0.2")
                return answer is not None and answer.status == 503

            wait_until(is_refused)
            other = ask(strict.address, post("/predict", RED), client="127.0.0.3")
            assert other is not None
            assert other.status == 200


class TestSlowClients:
    """Slowloris, as the attack is called: a byte now and then, on as many connections as one gets."""

    def drip(self, connection: socket.socket, drops: bytes) -> None:
        """A byte every tenth of a second until the server closes, which it must before all are out."""
        for drop in drops:
            try:
                connection.sendall(bytes([drop]))
            except ConnectionError:
                return
            time.sleep(0.1)
            connection.setblocking(False)
            try:
                if connection.recv(1, socket.MSG_PEEK) is not None:
                    return
            except BlockingIOError:
                pass
            except ConnectionError:
                return
            finally:
                connection.settimeout(60)
        raise AssertionError("Expected the server to lose its patience.")

    def test_a_head_that_never_ends(self, strict: Server) -> None:
        before = refused(strict, "slow")
        with connect(strict.address) as connection:
            connection.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            self.drip(connection, b"x" * 600)
            assert is_a_refusal(read_answer(connection), 408, "headers did not arrive within 1 s")
        assert refused(strict, "slow") > before

    def test_a_second_head_that_never_ends(self, strict: Server) -> None:
        with connect(strict.address) as connection:
            connection.sendall(get("/info"))
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status == 200
            self.drip(connection, b"GET /info HTTP/1.1\r\nX-Slow: " + b"x" * 600)
            assert is_a_refusal(read_answer(connection), 408, "request headers")

    def test_nothing_at_all(self, strict: Server) -> None:
        with connect(strict.address) as connection:
            assert connection.recv(1) == b""

    @pytest.mark.parametrize("path", ["/predict", "/collect"])
    def test_a_body_that_never_ends(self, strict: Server, path: str) -> None:
        for head in (
            post(path, b"", JSON, length=5000),
            post(path, b"", JSON, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b""),
        ):
            drops = b"x" * 600 if b"chunked" not in head else b"1\r\nx\r\n" * 100
            with connect(strict.address) as connection:
                connection.sendall(head)
                self.drip(connection, drops)
                assert is_a_refusal(read_answer(connection), 408, "body did not arrive within 1 s")

    @pytest.mark.parametrize("path", ["/info", "/no-such-path"])
    def test_a_body_that_nobody_wants(self, strict: Server, path: str) -> None:
        with connect(strict.address) as connection:
            connection.sendall(get(path, "Content-Length: 5000"))
            assert read_answer(connection) is not None
            self.drip(connection, b"x" * 600)

    def test_fifty_of_them_keep_nobody_waiting(self, strict: Server) -> None:
        with ExitStack() as opened:
            for number in range(50):
                try:
                    slow = opened.enter_context(connect(strict.address, client=f"127.0.0.{2 + number}"))
                    slow.sendall(b"GET / HT")
                except ConnectionError:  # there is no room, and it was cut off
                    pass
            # All places are taken, but not for long.
            wait_until(lambda: getattr(ask(strict.address, get("/info"), client="127.0.1.1"), "status", 0) == 200)
        wait_until(lambda: strict.metric("edge_runtime_connections") == 1)


class TestClientsThatNeverRead:
    def test_hold_nobody_up_and_lose_their_places(self, strict: Server) -> None:
        with ExitStack() as opened:
            for number in range(10):
                deaf = opened.enter_context(connect(strict.address, client=f"127.0.0.{2 + number}"))
                deaf.sendall(get("/stream.mjpg"))
            wait_until(lambda: strict.metric("edge_runtime_viewers") == 10)
            memory, before = strict.rss_mib(), refused(strict, "slow")
            with strict.client.stream("GET", "/stream.mjpg") as stream:
                pictures = list(islice(jpegs(stream), 45))
            assert len(set(pictures)) == 45
            wait_until(lambda: strict.metric("edge_runtime_viewers") == 0)
            assert refused(strict, "slow") >= before + 10
            assert strict.rss_mib() - memory < 16

    def test_a_viewer_that_goes_while_it_is_told_of_many_events_fills_no_log(self, strict: Server) -> None:
        wait_until(lambda: strict.metric('edge_runtime_events_total{kind="changed"}') >= 8)
        for number in range(18):
            with connect(strict.address, client=f"127.0.0.{2 + number}") as connection:
                connection.sendall(get("/events?recent=200"))
        wait_until(lambda: strict.metric("edge_runtime_connections") == 1)
        assert strict.said == []

    def test_answers_that_wait_for_them_are_thrown_away(self, strict: Server) -> None:
        with connect(strict.address) as deaf:
            deaf.setblocking(False)
            request, sent = get("/openapi.json"), 0
            try:
                while sent < 10_000:
                    deaf.send(request)
                    sent += 1
            except (BlockingIOError, ConnectionError):
                pass
            wait_until(lambda: strict.metric("edge_runtime_connections") == 1)

    def test_slow_ones_that_read_on_are_served_to_the_end(self, strict: Server) -> None:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            where = httpx.URL(strict.address)
            slow.connect((where.host, where.port))
            slow.sendall(get("/openapi.json", "Connection: close"))
            received = b""
            while part := slow.recv(1024):
                received += part
                time.sleep(0.15)
            assert received.endswith(b"}")


class TestWhatIsNoHttp:
    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client's hello
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",  # without a host
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000,
            post("/predict", b"zz\r\n", "Transfer-Encoding: chunked"),
            b"\r\n" * 40_000,
        ],
    )
    def test_is_answered_in_the_shape_of_all_refusals(self, strict: Server, request_bytes: bytes) -> None:
        before = refused(strict, "malformed")
        assert is_a_refusal(ask(strict.address, request_bytes), 400, "Invalid HTTP/1.1 request")
        assert refused(strict, "malformed") == before + 1

    def test_is_answered_without_a_body_where_none_may_be(self, strict: Server) -> None:
        head = b"HEAD /info HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        answer = ask(strict.address, head, method="HEAD")
        assert answer is not None
        assert (answer.status, answer.headers["content-type"]) == (400, "application/json")

    def test_of_a_client_that_has_gone_already_disturbs_nothing(self, strict: Server) -> None:
        before = refused(strict, "malformed")
        for number, request in enumerate([b"\x00\r\n\r\n"] * 15 + [b"GET / HT"] * 3):
            with connect(strict.address, client=f"127.0.0.{2 + number}") as connection:
                connection.sendall(request)
        wait_until(lambda: refused(strict, "malformed") == before + 15)
        wait_until(lambda: strict.metric("edge_runtime_connections") == 1)
        assert strict.said == []

    def test_ends_a_stream_that_is_under_way(self, strict: Server) -> None:
        with connect(strict.address) as connection:
            connection.sendall(get("/events", "Transfer-Encoding: chunked"))
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status == 200
            connection.sendall(b"zz\r\n")
            wait_until(lambda: strict.metric("edge_runtime_viewers") == 0)

    def test_a_stream_takes_no_notice_of_a_body(self, strict: Server) -> None:
        with connect(strict.address) as connection:
            connection.sendall(get("/events", "Content-Length: 40000000") + bytes(3_000_000))
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status == 200


class TestWhatMayBeSent:
    def test_only_pictures_may_be_large(self, strict: Server) -> None:
        body = b'{"label": "' + b"x" * 20_000 + b'"}'
        assert is_a_refusal(ask(strict.address, post("/collect", body, JSON)), 413, "limit is 16,384 bytes")
        chunks = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
        chunked = post("/collect", chunks, JSON, "Transfer-Encoding: chunked").replace(b"Content-Length", b"X-Length")
        assert is_a_refusal(ask(strict.address, chunked), 413, "limit is 16,384 bytes")

    @pytest.mark.parametrize("body", [b"[" * 10_000, b'{"label": "\\ud800"}', b'{"label": 1e999}', b"\xff\xfe", b"nul"])
    def test_json_that_is_a_trap(self, strict: Server, body: bytes) -> None:
        answer = ask(strict.address, post("/collect", body, JSON))
        assert answer is not None
        assert is_a_refusal(answer, answer.status, "")
        assert answer.status in (400, 422)

    @pytest.mark.parametrize(
        "path",
        [
            *("/../etc/passwd", "/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "file:///etc/passwd"),
            *("/page.css/../app.py", "/%00", "/page.js%00.html", "/./page.js", "/index.html", "/server/app.py"),
            "/info/",
        ],
    )
    def test_no_path_leads_out(self, strict: Server, path: str) -> None:
        assert is_a_refusal(ask(strict.address, get(path)), 404, "Not Found")

    def test_other_sites_pages_are_told_nothing(self, strict: Server) -> None:
        request = get("/info", "Origin: https://evil.example", "Access-Control-Request-Method: POST")
        for asked in (request, request.replace(b"GET", b"OPTIONS")):
            answer = ask(strict.address, asked)
            assert answer is not None
            assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_a_server_that_fails_tells_its_log_and_not_the_client(
    tiny_int8: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = Classifier(tiny_int8, num_threads=1)
    app = create_app(classifier)
    classifier.classify = None  # type: ignore[method-assign, assignment]

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/predict", content=RED)

    with classifier:
        answered = asyncio.run(answer())
    assert answered.status_code == 500
    assert answered.json() == {"detail": "Internal server error. See the server's log."}
    assert answered.headers["x-content-type-options"] == "nosniff"


class TestOptions:
    @pytest.mark.parametrize("option", ["--max-rate", "--max-connections", "--header-timeout", "--max-uploads"])
    @pytest.mark.parametrize("value", ["0", "-1", "nan", "many"])
    def test_what_limits_nothing_is_refused(
        self, tiny_int8: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["serve", str(tiny_int8), option, value])
        assert option in capsys.readouterr().err

    @pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
    def test_the_api_refuses_it_too(self, value: float) -> None:
        with pytest.raises(ServerError, match="max_rate must be a finite number above 0"):
            Limits(max_rate=value)


def test_many_viewers_of_one_address_and_uploads_beside_them(strict: Server) -> None:
    """What a page and a device do at once is far from any limit."""
    with strict.client.stream("GET", "/stream.mjpg") as stream, ThreadPoolExecutor(3) as clients:
        sent = clients.map(lambda _: strict.client.post("/predict", content=RED).status_code, range(30))
        assert len(list(islice(jpegs(stream), 10))) == 10
        assert set(sent) == {200}
