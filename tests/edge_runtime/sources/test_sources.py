"""Sources deliver what is there, in order and by the clock, and say clearly what isn't."""

from __future__ import annotations

import re
import socketserver
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.errors import CameraError, SourceError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.live_loop.loop import live
from edge_runtime.sources import Source, camera, open_source
from edge_runtime.sources.opencv import Capture, open_capture
from edge_runtime.sources.pictures import list_pictures, read_picture
from edge_runtime.sources.synthetic import SyntheticSource

HEIGHT, WIDTH = 48, 64


def grey(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames at 20 per second, each 20 grey levels lighter than the one before."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (WIDTH, HEIGHT))
    for index in range(10):
        writer.write(grey(20 * index))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures in two folders, a hidden one and a text."""
    for name, level in (("b/two.png", 20), ("a.png", 10), ("b/three.JPG", 30), (".hidden.png", 0)):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix.lower(), grey(level))[1].tobytes())
    (tmp_path / "pictures/notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def levels(source: Source) -> list[int]:
    with source:
        return [round(float(frame.pixels.mean())) for frame in iter(source.read, None)]


def spoiled(video: Path, numbers: set[int]) -> Capture:
    """The clip with some of its pictures damaged, in the decoder that can tell: grabbed they can be, decoded not."""
    content = bytearray(video.read_bytes())
    place = -1
    for number in range(10):
        place = content.index(b"\xff\xd8\xff", place + 1)
        if number in numbers:
            content[place : place + 3] = b"\0\0\0"
    path = video.with_name("spoiled.avi")
    path.write_bytes(content)
    capture = open_capture(str(path), [cv2.CAP_OPENCV_MJPEG], name="a clip")
    assert capture is not None
    return capture


def read_all(capture: Capture) -> list[float]:
    return [float(taken[0].mean()) for taken in iter(capture.read, None)]


class TestVideo:
    def test_delivers_every_frame_once_and_in_order(self, video: Path) -> None:
        assert levels(open_source(video)) == pytest.approx([20 * index for index in range(10)], abs=3)

    def test_frames_are_numbered_and_keep_their_own_pixels(self, video: Path) -> None:
        with open_source(str(video)) as source:
            first, second = source.read(), source.read()
        assert first is not None
        assert second is not None
        assert (first.index, second.index) == (0, 1)
        assert (first.pixels.shape, first.pixels.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert first.captured_at <= second.captured_at <= time.monotonic()
        assert first.pixels.mean() < second.pixels.mean()

    def test_realtime_keeps_the_files_own_pace(self, video: Path) -> None:
        started = time.monotonic()
        count = len(levels(open_source(video, pace="realtime")))
        assert count == 10
        assert time.monotonic() - started >= 9 / 20

    def test_loop_starts_again_and_counts_on(self, video: Path) -> None:
        with open_source(video, loop=True) as source:
            frames = [source.read() for _ in range(12)]
        assert [frame.index for frame in frames if frame] == list(range(12))
        assert frames[10] is not None
        assert frames[10].pixels.mean() == pytest.approx(0, abs=3)

    def test_reading_after_closing_gives_nothing(self, video: Path) -> None:
        source = open_source(video)
        source.close()
        source.close()
        assert source.read() is None

    def test_describes_itself(self, video: Path) -> None:
        with open_source(video, pace="realtime") as source:
            assert source.describe() == f"video {video}, 64×48, at 20 fps"

    @pytest.mark.parametrize("content", [b"", b"Dear diary,\n" * 500, b"\0\1\2" * 500])
    def test_what_is_no_video_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "movie.mp4"
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"OpenCV cannot decode .*movie\.mp4"):
            open_source(path)

    def test_ffmpeg_and_opencv_add_nothing_to_the_error(self, tmp_path: Path) -> None:
        path = tmp_path / "movie.mp4"
        path.write_bytes(b"\0\1\2" * 500)
        # In a process of its own: FFmpeg asks only once, when it is first used, whether it should be quiet.
        code = (
            "from edge_runtime import SourceError, open_source\n"
            f"try: open_source({str(path)!r})\n"
            "except SourceError: pass"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr + done.stdout == ""

    def test_a_real_clip_is_read_to_its_end(self, shared_data: Path) -> None:
        with open_source(shared_data / "video/bottle-detection.mp4") as source:
            assert "640×360" in source.describe()
            assert sum(1 for _ in iter(source.read, None)) == 1189


class TestFolder:
    def test_delivers_pictures_by_name_with_their_names(self, folder: Path) -> None:
        with open_source(folder) as source:
            frames = list(iter(source.read, None))
        assert [frame.name for frame in frames] == ["a.png", "b/three.JPG", "b/two.png"]
        assert [round(float(frame.pixels.mean())) for frame in frames] == [10, 30, 20]

    def test_one_picture_is_a_folder_of_one(self, folder: Path) -> None:
        with open_source(folder / "a.png") as source:
            frame = source.read()
            assert source.read() is None
        assert frame is not None
        assert frame.name == "a.png"

    def test_grey_and_transparent_pictures_come_as_bgr(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 5), 7, np.uint8))
        cv2.imwrite(str(tmp_path / "alpha.png"), np.full((4, 5, 4), 9, np.uint8))
        cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 5, 3), 257 * 11, np.uint16))
        for path in list_pictures(tmp_path):
            assert read_picture(path).shape == (4, 5, 3)
            assert read_picture(path).dtype == np.uint8

    def test_a_damaged_picture_is_named_and_left_out(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        (folder / "a.png").write_bytes(b"not a picture")
        assert levels(open_source(folder)) == [30, 20]
        assert "a.png" in caplog.text

    def test_a_damaged_picture_alone_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "broken.jpg"
        path.write_bytes(b"\xff\xd8 and no more")
        with open_source(path) as source, pytest.raises(SourceError, match=r"broken\.jpg is not a JPEG, PNG, WebP"):
            source.read()

    def test_a_folder_of_damaged_pictures_alone_is_an_error(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png"):
            (tmp_path / name).write_bytes(b"x")
        with open_source(tmp_path, loop=True) as source, pytest.raises(SourceError, match="None of the 2 pictures"):
            source.read()

    def test_a_folder_without_pictures_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="contains no pictures"):
            open_source(tmp_path)

    def test_loop_and_realtime(self, folder: Path) -> None:
        started = time.monotonic()
        with open_source(folder, pace="realtime", loop=True, fps=20) as source:
            names = [frame.name for frame in (source.read() for _ in range(5)) if frame]
        assert names[3:] == ["a.png", "b/three.JPG"]
        assert time.monotonic() - started >= 4 / 20


class TestSynthetic:
    def test_the_same_seed_draws_the_same_moving_scene(self) -> None:
        first, again, other = SyntheticSource(count=3), SyntheticSource(count=3), SyntheticSource(count=3, seed=1)
        frames = [[frame.pixels for frame in iter(source.read, None)] for source in (first, again, other)]
        assert [frame.shape for frame in frames[0]] == [(480, 640, 3)] * 3
        for one, two, three in zip(*frames, strict=True):
            assert np.array_equal(one, two)
            assert not np.array_equal(one, three)
        assert not np.array_equal(frames[0][0], frames[0][1])

    def test_realtime_keeps_the_clock_even_when_the_reader_is_busy(self) -> None:
        source = SyntheticSource(size=(48, 64), fps=50, pace="realtime", count=11)
        started = time.monotonic()
        while source.read() is not None:
            time.sleep(0.005)
        assert 10 / 50 <= time.monotonic() - started < 1.0

    def test_closing_wakes_a_reader_that_waits(self) -> None:
        source = SyntheticSource(fps=0.1, pace="realtime")
        assert source.read() is not None
        waiting = threading.Thread(target=source.read)
        waiting.start()
        source.close()
        waiting.join(2)
        assert not waiting.is_alive()

    def test_is_had_by_name_and_size(self) -> None:
        with open_source("synthetic", size=(120, 160), fps=15, pace="realtime") as source:
            assert source.describe() == "synthetic scene, 160×120, at 15 fps"
            assert source.paced
            assert not source.live


class TestCamera:
    @pytest.mark.parametrize("spec", [93, "93", "/dev/video93"])
    def test_a_missing_camera_is_named(self, spec: str | int) -> None:
        with pytest.raises(CameraError, match=r"There is no camera at /dev/video93 \(.+\)\. Plug it in"):
            open_source(spec)

    def test_what_is_no_camera_can_not_be_opened(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
        with pytest.raises(CameraError, match=r"the camera /dev/null\. .*'fuser -v /dev/null' shows which.*v4l2-ctl"):
            open_source("/dev/null")
        assert capfd.readouterr().err == ""

    def test_a_camera_delivers_until_it_stops(self, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # A clip stands in for a camera, which no test machine has; it is read by the same capture, V4L2 apart.
        def play(place: str, backends: list[int], *, name: str) -> Capture | None:
            assert backends == [cv2.CAP_V4L2]
            return open_capture(place, [cv2.CAP_FFMPEG], name=name)

        monkeypatch.setattr(camera, "open_capture", play)
        with open_source(video) as file:
            assert not file.live
        with camera.CameraSource(str(video)) as source:
            assert source.live
            assert source.describe() == f"camera {video}, 64×48, MJPG, 20 fps"
            assert [frame.index for frame in (source.read() for _ in range(9)) if frame] == list(range(9))
            with pytest.raises(CameraError, match=r"The camera .*clip\.avi stopped sending frames"):
                source.read()
        assert source.read() is None

    def test_a_name_that_stays_is_looked_up_each_time(
        self, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # After it was plugged in again, the camera has another number: the link points to another clip.
        nodes = [tmp_path / "video0", tmp_path / "video2"]
        for node in nodes:
            node.write_bytes(video.read_bytes())
        link = tmp_path / "usb-Some_Camera-video-index0"
        link.symlink_to(nodes[0])
        opened: list[str] = []

        def play(place: str, backends: list[int], *, name: str) -> Capture | None:
            opened.append(place)
            return open_capture(place, [cv2.CAP_FFMPEG], name=name)

        monkeypatch.setattr(camera, "open_capture", play)
        with camera.CameraSource(str(link)) as source:
            assert source.describe() == f"camera {link} ({nodes[0]}), 64×48, MJPG, 20 fps"
        link.unlink()
        link.symlink_to(nodes[1])
        with source.reopen() as again:
            assert str(nodes[1]) in again.describe()
        assert opened == [str(node) for node in nodes]

    def test_a_missing_camera_names_those_that_are_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        names = tmp_path / "v4l/by-id"
        names.mkdir(parents=True)
        for path in (tmp_path / "video0", names / "usb-Cam-video-index0", names / "usb-Cam-video-index1"):
            path.touch()
        monkeypatch.setattr(camera, "DEVICES", tmp_path)
        with pytest.raises(CameraError) as raised:
            open_source(93)
        assert f"found: {tmp_path}/video0; permanent names: {names}/usb-Cam-video-index0)" in str(raised.value)

    @pytest.mark.parametrize("driver", ["unicam-image", "rp1-cfe-csi2_ch0", "bcm2835-isp-output0"])
    def test_a_node_of_the_camera_module_says_what_to_use(
        self, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        node = tmp_path / "video0"
        node.touch()
        (tmp_path / "class/video0").mkdir(parents=True)
        (tmp_path / "class/video0/name").write_text(f"{driver}\n")
        monkeypatch.setattr(camera, "SYSFS", tmp_path / "class")
        with pytest.raises(CameraError, match=rf"camera module \({driver}\), which OpenCV cannot read. .*'csi'"):
            camera.CameraSource(str(node))

    def test_a_picture_that_can_not_be_decoded_is_left_out(self, video: Path) -> None:
        assert read_all(spoiled(video, {3, 4, 7})) == pytest.approx([0, 20, 40, 100, 120, 160, 180], abs=3)

    def test_several_in_a_row_are_a_broken_camera(self, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def play(place: str, backends: list[int], *, name: str) -> Capture | None:
            return spoiled(Path(place), set(range(4, 10)))

        monkeypatch.setattr(camera, "open_capture", play)
        with camera.CameraSource(str(video)) as source:
            assert [frame.index for frame in (source.read() for _ in range(3)) if frame] == [0, 1, 2]
            with pytest.raises(CameraError, match=r"5 frames in a row from .* cannot be decoded"):
                source.read()

    def test_a_camera_module_without_picamera2_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "picamera2", None)
        with pytest.raises(CameraError, match="apt install python3-picamera2"):
            open_source("csi")

    def test_a_camera_module_delivers_bgr_at_the_size_it_grants(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # picamera2 runs on a Raspberry Pi alone; this stands in for what we use of it.
        class Picamera2:
            calls: list[str] = []  # noqa: RUF012

            def create_video_configuration(self, main: dict[str, Any], controls: dict[str, Any]) -> dict[str, Any]:
                assert main["format"] == "RGB888"  # which is B, G, R in memory
                assert controls == {"FrameRate": 30.0}
                return {"main": {**main, "size": (640, 480)}}

            def configure(self, configuration: dict[str, Any]) -> None:
                self.configuration = configuration

            def camera_configuration(self) -> dict[str, Any]:
                return self.configuration

            def start(self) -> None:
                self.calls.append("start")

            def capture_array(self, name: str) -> np.ndarray:
                assert name == "main"
                return np.zeros((480, 640, 3), np.uint8)

            def stop(self) -> None:
                self.calls.append("stop")

            def close(self) -> None:
                self.calls.append("close")

        module = ModuleType("picamera2")
        module.Picamera2 = Picamera2  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "picamera2", module)
        with open_source("csi", size=(479, 639)) as source:
            frame = source.read()
            assert source.live
            assert source.describe() == "camera module, 640×480, 30 fps"
        assert frame is not None
        assert frame.pixels.shape == (480, 640, 3)
        assert source.read() is None
        assert Picamera2.calls == ["start", "stop", "close"]


class _MotionJpeg(BaseHTTPRequestHandler):
    """A network camera: 40 pictures at some 100 a second, then nothing more."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for index in range(40):
            data = cv2.imencode(".jpg", grey(6 * index))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            time.sleep(0.01)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: clients hang up whenever they like."""


@pytest.fixture
def network_camera() -> Iterator[str]:
    with _QuietServer(("127.0.0.1", 0), _MotionJpeg) as server:
        assert isinstance(server, socketserver.BaseServer)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://user:secret@127.0.0.1:{server.server_address[1]}/live"
        server.shutdown()


class TestStream:
    def test_a_network_camera_is_live_until_it_stops(self, network_camera: str) -> None:
        with open_source(network_camera) as source:
            assert source.live
            assert "secret" not in source.describe()
            frames = [source.read() for _ in range(5)]
            assert [frame.index for frame in frames if frame] == [0, 1, 2, 3, 4]
            with pytest.raises(SourceError, match=r"The stream http://\*\*\*@127.* stopped sending frames"):
                list(iter(source.read, None))

    def test_the_live_loop_connects_again(
        self, network_camera: str, tiny_int8: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Classifier(tiny_int8, num_threads=1) as classifier:
            results = live(classifier, open_source(network_camera))
            assert any(result.counters.reconnects == 1 for result in results)
            results.close()
        assert "stopped sending frames. Reopening it." in caplog.text
        assert "secret" not in caplog.text

    def test_an_address_where_nothing_answers_is_an_error_without_its_password(self) -> None:
        with pytest.raises(SourceError, match=r"Cannot open the video stream rtsp://\*\*\*@127\.0\.0\.1:9/x") as raised:
            open_source("rtsp://user:secret@127.0.0.1:9/x")
        assert "secret" not in str(raised.value)


class TestPipeline:
    PIPELINE = "videotestsrc num-buffers=5 ! videoconvert ! appsink"

    def test_is_played_where_opencv_can(self) -> None:
        if not gstreamer_is_built_in():
            pytest.skip("needs an OpenCV with GStreamer")
        with open_source(self.PIPELINE) as source:
            assert source.read() is not None

    def test_is_refused_where_it_can_not(self) -> None:
        if gstreamer_is_built_in():
            pytest.skip("needs an OpenCV without GStreamer")
        with pytest.raises(SourceError, match=r"needs an OpenCV with GStreamer.*apt install python3-opencv"):
            open_source(self.PIPELINE)

    def test_needs_a_sink_that_opencv_can_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   YES (1.22.0)")
        with pytest.raises(SourceError, match="'videotestsrc ! fakesink' does not end in an appsink"):
            open_source("videotestsrc ! fakesink")

    def test_a_password_in_it_is_not_shown(self) -> None:
        with pytest.raises(SourceError) as raised:
            open_source("rtspsrc location=rtsp://user:secret@127.0.0.1:9/x ! decodebin ! fakesink")
        assert "secret" not in str(raised.value)


def gstreamer_is_built_in() -> bool:
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None


class TestOpenSource:
    def test_a_path_that_is_nothing_lists_what_it_could_have_been(self) -> None:
        with pytest.raises(SourceError, match="'nowhere' does not exist"):
            open_source("nowhere")

    def test_a_size_for_a_file_is_refused(self, video: Path) -> None:
        with pytest.raises(SourceError, match="Only cameras and synthetic scenes have a selectable size"):
            open_source(video, size=(10, 10))
