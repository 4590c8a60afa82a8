"""The server, asked over a real connection: the API, the live streams, who may come in."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from edge_runtime.cli.main import main
from edge_runtime.inference.classifier import Classifier
from tests.support.serving import Server, camera_with_a_switch, clip_of_all_classes, jpegs, messages, serving
from tests.support.tiny import LABELS, picture
from tests.support.waiting import wait_until

TOKEN = "a token of some length"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_of_all_classes(tmp_path_factory.mktemp("clip") / "classes.avi")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def predicting(tiny_int8: Path) -> Iterator[Server]:
    """A server without a source."""
    with serving(tiny_int8, "--source", "none", "--max-mib", "1", "--max-megapixels", "2") as server:
        yield server
    assert server.said == []


@pytest.fixture(scope="module")
def showing(tiny_int8: Path, clip: Path, photos: Path) -> Iterator[Server]:
    """A server that plays a clip again and again, and collects."""
    with serving(tiny_int8, "--source", clip, "--collect", photos) as server:
        wait_until(lambda: server.client.get("/healthz").status_code == 200)
        yield server
    assert server.said == []


@pytest.fixture(scope="module")
def locked(tiny_int8: Path) -> Iterator[Server]:
    """A server that others can reach."""
    env = {**os.environ, "EDGE_RUNTIME_TOKEN": TOKEN}
    with serving(tiny_int8, "--source", "synthetic", "--host", "0.0.0.0", env=env) as server:
        server.client.base_url = httpx.URL(server.address.replace("0.0.0.0", "127.0.0.1"))
        wait_until(lambda: server.client.get("/healthz", params={"token": TOKEN}).status_code == 200)
        yield server


def encoded(label: str, suffix: str = ".jpg", *, size: int = 64) -> bytes:
    pixels = picture(label, height=size * 3 // 4, width=size)[:, :, ::-1]
    return bytes(cv2.imencode(suffix, pixels)[1].tobytes())


def huge_png() -> bytes:
    """A PNG of a few bytes that says it has 30,000 × 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


class TestPredict:
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
    def test_answers_as_the_classifier_does(self, predicting: Server, tiny_int8: Path, suffix: str) -> None:
        with Classifier(tiny_int8, num_threads=1) as classifier:
            for label in LABELS:
                data = encoded(label, suffix)
                alone = classifier.classify(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
                raw = predicting.client.post("/predict", content=data)
                form = predicting.client.post("/predict", files={"file": ("any", data)})
                assert (raw.status_code, form.status_code) == (200, 200)
                assert raw.json()["categories"] == form.json()["categories"]
                assert raw.json()["categories"] == alone.to_dict()["categories"]
                assert raw.json()["categories"][0]["label"] == label
                assert (raw.json()["height"], raw.json()["width"]) == (48, 64)
                assert all(raw.json()[f"{stage}_ms"] > 0 for stage in ("decode", "preprocess", "inference"))

    def test_a_phone_s_photo_is_turned_upright(self, predicting: Server, tmp_path: Path) -> None:
        from PIL import Image

        image = Image.fromarray(picture("red"))
        turned = Image.Exif()
        turned[0x0112] = 6
        image.save(tmp_path / "turned.jpg", exif=turned)
        answer = predicting.client.post("/predict", content=(tmp_path / "turned.jpg").read_bytes()).json()
        assert (answer["height"], answer["width"]) == (64, 48)

    def test_as_many_categories_as_are_asked_for(self, predicting: Server) -> None:
        data = encoded("green")
        assert len(predicting.client.post("/predict?top_k=2", content=data).json()["categories"]) == 2
        assert predicting.client.post("/predict?score_threshold=1", content=data).json()["categories"] == []

    @pytest.mark.parametrize(
        ("data", "query", "status", "words"),
        [
            (b"", "", 400, "No picture received"),
            (b"just text", "", 415, "JPEG, PNG, WebP or BMP"),
            (b"GIF89a" + bytes(100), "", 415, "JPEG, PNG, WebP or BMP"),
            (encoded("red", ".png")[:60], "", 422, "damaged or truncated"),
            (b"\xff\xd8\xff", "", 422, "damaged or truncated"),
            (b"BM" + bytes(60), "", 422, "damaged or truncated"),
            (encoded("red"), "?top_k=0", 422, "top_k"),
            (encoded("red"), "?score_threshold=much", 422, "score_threshold"),
            (huge_png(), "", 413, "30000×30000 pixels; at most 2,000,000 are allowed"),
            (encoded("red") + bytes(1 << 20), "", 413, "the limit is 1,048,576"),
            (encoded("red") + bytes(2 << 20), "", 413, "the limit is 1,048,576"),
        ],
    )
    def test_says_what_is_wrong(self, predicting: Server, data: bytes, query: str, status: int, words: str) -> None:
        answer = predicting.client.post(f"/predict{query}", content=data)
        assert answer.status_code == status
        assert words in json.dumps(answer.json(), ensure_ascii=False)
        assert "Traceback" not in answer.text

    def test_says_what_is_wrong_with_a_form(self, predicting: Server) -> None:
        for files, status in (
            ({"picture": encoded("red")}, 400),
            ({"file": b""}, 400),
            ({"file": b"text"}, 415),
            ({"file": encoded("red") + bytes(1 << 20)}, 413),
            ({"file": encoded("red") + bytes(3 << 20)}, 413),
        ):
            assert predicting.client.post("/predict", files=files).status_code == status
        for content, kind in ((b"not a form", "multipart/form-data; boundary=x"), (b"--x", "multipart/form-data")):
            answer = predicting.client.post("/predict", content=content, headers={"content-type": kind})
            assert answer.status_code == 400

    def test_a_body_of_unknown_length_is_limited_too(self, predicting: Server) -> None:
        answer = predicting.client.post("/predict", content=(bytes(100_000) for _ in range(30)))
        assert answer.status_code == 413

    def test_many_clients_at_once_are_all_answered(self, predicting: Server) -> None:
        wanted = [LABELS[index % 3] for index in range(48)]
        with ThreadPoolExecutor(8) as clients:
            answers = clients.map(lambda label: predicting.client.post("/predict", content=encoded(label)), wanted)
            assert [answer.json()["categories"][0]["label"] for answer in answers] == wanted

    def test_clients_that_send_too_slowly_can_t_fill_the_memory(self, predicting: Server) -> None:
        host, port = httpx.URL(predicting.address).host, httpx.URL(predicting.address).port
        with ExitStack() as opened:

            def is_refused_beside_another_slow_one() -> bool:
                slow = opened.enter_context(socket.create_connection((host, port)))
                slow.sendall(f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n".encode())
                return predicting.client.post("/predict", content=encoded("red")).status_code == 503

            wait_until(is_refused_beside_another_slow_one)
        wait_until(lambda: predicting.client.post("/predict", content=encoded("red")).status_code == 200)

    def test_is_counted(self, predicting: Server) -> None:
        before = predicting.metric('edge_runtime_predict_requests_total{status="200"}')
        predicting.client.post("/predict", content=encoded("red"))
        assert predicting.metric('edge_runtime_predict_requests_total{status="200"}') == before + 1

    def test_without_a_source_there_is_nothing_live_and_all_is_well(self, predicting: Server) -> None:
        assert predicting.client.get("/healthz").json() == {"state": "no source"}
        assert predicting.client.get("/info").json()["source"] is None
        for path in ("/events", "/stream.mjpg", "/snapshot.jpg", "/collect"):
            assert predicting.client.get(path).status_code == 404


class TestLive:
    def test_a_snapshot_is_a_frame(self, showing: Server) -> None:
        answer = showing.client.get("/snapshot.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).shape == (480, 640, 3)

    def test_the_stream_moves(self, showing: Server) -> None:
        with showing.client.stream("GET", "/stream.mjpg") as stream:
            assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
            pictures = list(islice(jpegs(stream), 20))
        assert len(set(pictures)) == 20
        assert all(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape == (480, 640, 3) for jpeg in pictures)

    def test_events_and_status_come_as_they_happen(self, showing: Server) -> None:
        events: list[tuple[int, dict[str, object]]] = []
        with showing.client.stream("GET", "/events?recent=0") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            coming = messages(stream)
            assert json.loads(next(coming)[2])["state"] == "live"
            for kind, number, data in coming:
                if kind != "status":
                    events.append((int(number), json.loads(data)))
                if {event["label"] for _, event in events if event["kind"] == "entered"} == set(LABELS):
                    break
        numbers = [number for number, _ in events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        entered = [event for _, event in events if event["kind"] == "entered"]
        assert all(event["score"] > 0.6 for event in entered)  # type: ignore[operator]

    def test_a_viewer_that_was_away_gets_what_it_missed(self, showing: Server) -> None:
        wait_until(lambda: showing.metric('edge_runtime_events_total{kind="changed"}') >= 3)
        with showing.client.stream("GET", "/events?recent=5&status=false") as stream:
            known = [(number, data) for _, number, data in islice(messages(stream), 5)]
        with showing.client.stream("GET", "/events", headers={"last-event-id": known[1][0]}) as stream:
            missed = [(number, data) for kind, number, data in islice(messages(stream), 3) if kind != "status"]
        assert missed == known[2:]

    @pytest.mark.parametrize("unknown", ["999999999", "9" * 5000, "-1", "x"])
    def test_an_event_that_never_was_is_no_obstacle(self, showing: Server, unknown: str) -> None:
        with showing.client.stream("GET", "/events", headers={"last-event-id": unknown}) as stream:
            assert next(messages(stream))[0] in ("status", "entered", "left", "changed")

    def test_ten_viewers_cost_one_encoding(self, showing: Server) -> None:
        encodings = "edge_runtime_pictures_encoded_total"
        before = showing.metric(encodings)
        with ExitStack() as opened, ThreadPoolExecutor(10) as threads:
            streams = [opened.enter_context(showing.client.stream("GET", "/stream.mjpg")) for _ in range(10)]
            viewers = [jpegs(stream) for stream in streams]
            seen = list(threads.map(lambda viewer: list(islice(viewer, 15)), viewers))
            cost = showing.metric(encodings) - before
            assert showing.metric("edge_runtime_viewers") == 10
        assert len({jpeg for pictures in seen for jpeg in pictures}) <= cost + 1  # one may have been there
        assert cost < 10 * 15 / 2

    def test_nothing_is_encoded_while_nobody_watches(self, showing: Server) -> None:
        wait_until(lambda: showing.metric("edge_runtime_viewers") == 0)

        def cost_of_ten_frames() -> float:
            encoded, frames = showing.metric("edge_runtime_pictures_encoded_total"), classified(showing)
            wait_until(lambda: classified(showing) >= frames + 10)
            return showing.metric("edge_runtime_pictures_encoded_total") - encoded

        assert cost_of_ten_frames() <= 1  # the last viewer's next picture was on its way
        assert cost_of_ten_frames() == 0

    def test_metrics_are_what_prometheus_reads(self, showing: Server) -> None:
        answer = showing.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.text.splitlines()
        sample = re.compile(r'(edge_runtime_\w+)(\{\w+="[\w ]+"(,\w+="[\w ]+")*\})? -?[\d.e+-]+')
        names = {found[1] for line in lines if (found := sample.fullmatch(line))}
        assert [line for line in lines if not line.startswith("#") and not sample.fullmatch(line)] == []
        typed = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
        assert len(typed) == len(set(typed))
        assert names <= set(typed)
        assert {"edge_runtime_fps", "edge_runtime_inference_seconds", "edge_runtime_frame_age_seconds"} <= names
        assert showing.metric("edge_runtime_camera_up") == 1
        assert 0 < showing.metric("edge_runtime_fps") < 100

    def test_frames_are_counted(self, showing: Server) -> None:
        before = classified(showing)
        wait_until(lambda: classified(showing) > before)

    def test_a_camera_that_is_away_is_told_everywhere_until_it_is_back(self, tiny_int8: Path, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "red.png"), picture("red")[:, :, ::-1])
        away = tmp_path / "away"
        with camera_with_a_switch(tiny_int8, tmp_path / "red.png", away) as server:
            wait_until(lambda: server.client.get("/healthz").status_code == 200)
            away.touch()
            wait_until(lambda: server.client.get("/healthz").status_code == 503)
            assert server.client.get("/healthz").json() == {"state": "away"}
            assert server.client.get("/snapshot.jpg").status_code == 503
            assert server.metric("edge_runtime_camera_up") == server.metric("edge_runtime_fps") == 0
            with server.client.stream("GET", "/events") as stream:
                states = (json.loads(data)["state"] for kind, _, data in messages(stream) if kind == "status")
                assert next(states) == "away"
                away.unlink()
                assert "live" in states
            assert server.client.get("/snapshot.jpg").status_code == 200
            assert server.metric("edge_runtime_reconnects_total") >= 1
            assert server.stop() == 0
            assert server.process.stdout is not None
            assert server.process.stdout.read() == "closed\n"

    def test_there_are_only_so_many_places(self, tiny_int8: Path) -> None:
        with serving(tiny_int8, "--source", "synthetic", "--max-viewers", "2") as server:
            with server.client.stream("GET", "/events") as first, server.client.stream("GET", "/stream.mjpg") as second:
                watched = [messages(first), jpegs(second)]
                assert all(next(coming) for coming in watched)
                refused = server.client.get("/stream.mjpg")
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            wait_until(lambda: server.metric("edge_runtime_viewers") == 0)
            with server.client.stream("GET", "/events") as stream:
                assert stream.status_code == 200


def classified(server: Server) -> float:
    return server.metric('edge_runtime_frames_total{fate="classified"}')


class TestCollect:
    def test_keeps_what_is_in_view(self, showing: Server, photos: Path) -> None:
        def post() -> str:
            answer = showing.client.post("/collect", json={"label": " cup "})
            assert answer.status_code == 200
            return str(answer.json()["outcome"])

        wait_until(lambda: post() == "saved")
        wait_until(lambda: post() == "duplicate")
        (count,) = [count for count in showing.client.get("/collect").json() if count["label"] == "cup"]
        assert count["pictures"] == len(list(photos.glob("cup/*.jpg"))) >= 1
        assert count["duplicates"] >= 1
        assert cv2.imread(str(next(photos.glob("cup/*.jpg")))).shape == (480, 640, 3)

    @pytest.mark.parametrize("label", ["", "../x", "/etc/x", "a/b", "a\x00b", "train", ".ssh"])
    def test_a_name_that_leads_elsewhere_is_refused(self, showing: Server, photos: Path, label: str) -> None:
        before = sorted(photos.parent.rglob("*"))
        answer = showing.client.post("/collect", json={"label": label})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("Invalid class name")
        assert [path for path in sorted(photos.parent.rglob("*")) if path not in before] == []

    def test_a_body_that_isn_t_json_is_refused(self, showing: Server) -> None:
        answer = showing.client.post("/collect", content=b'{"label": "x"}', headers={"content-type": "text/plain"})
        assert answer.status_code == 422


class TestWhoMayComeIn:
    def test_everything_but_the_empty_page_wants_the_token(self, locked: Server) -> None:
        api = locked.client.get("/openapi.json", params={"token": TOKEN}).json()
        assert {"/predict", "/events", "/stream.mjpg", "/snapshot.jpg", "/healthz", "/metrics"} <= set(api["paths"])
        for path in [*api["paths"], "/openapi.json", "/nothing"]:
            for refused in (
                locked.client.get(path),
                locked.client.post(path),
                locked.client.get(path, params={"token": "wrong"}),
                locked.client.get(path, params={"token": "größer"}),
                locked.client.get(path, headers={"authorization": "Bearer wrong"}),
                locked.client.get(path, headers={"authorization": f"Basic {TOKEN}"}),
            ):
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/page.js", "/page.css", "/docs", "/docs.js"):
            assert locked.client.get(path).status_code == 200

    def test_the_token_opens(self, locked: Server) -> None:
        assert locked.client.get("/info", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert locked.client.get("/info", params={"token": TOKEN}).status_code == 200
        with locked.client.stream("GET", "/stream.mjpg", params={"token": TOKEN}) as stream:
            assert next(jpegs(stream)).startswith(b"\xff\xd8")

    def test_the_token_is_in_no_log(self, locked: Server) -> None:
        assert TOKEN not in "".join(locked.errors)

    def test_another_site_s_page_can_neither_write_nor_read(self, showing: Server) -> None:
        evil = {"origin": "https://evil.example"}
        assert showing.client.post("/predict", content=encoded("red"), headers=evil).status_code == 403
        assert showing.client.post("/collect", json={"label": "x"}, headers=evil).status_code == 403
        assert showing.client.get("/info", headers={"host": "evil.example"}).status_code == 421
        assert showing.client.get("/info", headers={"host": "[::1"}).status_code == 400
        own = {"origin": showing.address.rstrip("/")}
        assert showing.client.post("/predict", content=encoded("red"), headers=own).status_code == 200

    def test_every_answer_has_the_headers_of_a_careful_server(self, showing: Server) -> None:
        for answer in (
            showing.client.get("/"),
            showing.client.get("/nothing"),
            showing.client.get("/predict"),
            showing.client.get("/info", headers={"host": "evil.example"}),
            showing.client.post("/predict", content=b"text"),
        ):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert "access-control-allow-origin" not in answer.headers
            assert "server" not in answer.headers


class TestCommand:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--host", "0.0.0.0"], "Serving on 0.0.0.0 requires a token"),
            (["--host", "::"], "Serving on :: requires a token"),
            (["--token", "short"], "The token has 5 characters; at least 12 are required"),
            (["--host", "192.0.2.1", "--token", TOKEN], "Cannot listen on 192.0.2.1, port 0"),
            (["--host", "no.such.host.invalid", "--token", TOKEN], "Cannot listen on no.such.host.invalid"),
        ],
    )
    def test_what_can_t_be_served_is_one_line(
        self, tiny_int8: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given_options = ["--source", "synthetic", "--port", "0", *options]
        assert main(["serve", str(tiny_int8), *given_options]) == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("edge-runtime: ")]
        assert words in line

    def test_a_port_that_is_taken_is_told(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert main(["serve", str(tiny_int8), "--source", "none", "--port", port]) == 1
        assert f"Cannot listen on 127.0.0.1, port {port}: Address already in use" in capsys.readouterr().err

    def test_without_the_extra_the_command_that_installs_it_is_named(self, tiny_int8: Path) -> None:
        code = f"import sys; sys.modules['uvicorn'] = None; from edge_runtime.cli.main import main; \
sys.exit(main(['serve', {str(tiny_int8)!r}]))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "uvicorn" in line
        assert line.endswith("pip install 'edge-image-sdk[server]'")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_leaves_when_told_to_while_somebody_watches(self, tiny_int8: Path, number: int) -> None:
        with (
            serving(tiny_int8, "--source", "synthetic") as server,
            server.client.stream("GET", "/events") as events,
            server.client.stream("GET", "/stream.mjpg") as stream,
        ):
            watched = [messages(events), jpegs(stream)]
            assert all(next(coming) for coming in watched)
            assert server.stop(number) == 0
            assert server.said == []

    def test_a_source_that_fails_for_good_ends_it_with_one_line(self, tiny_int8: Path, tmp_path: Path) -> None:
        (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff no picture")
        command = [sys.executable, "-m", "edge_runtime", "serve", tiny_int8, "--port", "0", "--source", tmp_path]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"edge-runtime: {tmp_path / 'damaged.jpg'} is damaged")
        assert "Traceback" not in done.stderr

    def test_ipv6(self, tiny_int8: Path) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("needs IPv6 on the loopback")
        with serving(tiny_int8, "--source", "none", "--host", "::1") as server:
            assert server.address.startswith("http://[::1]:")
            assert server.client.get("/healthz").status_code == 200
