"""MQTT against a real broker: state, events, last will, discovery, and a broker that comes and goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.errors import OutputError
from edge_runtime.sinks import Mqtt, mqtt
from tests.support.mosquitto import Mosquitto, only_for, program
from tests.support.ports import HOST
from tests.support.results import CHANGED, ENTERED, GONE, LEFT, TIME, made_result
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")

ROOT = Path(__file__).resolve().parents[3]
CONFIG = "homeassistant/sensor/edge_home_door/config"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


def address(broker: Mosquitto) -> str:
    return f"mqtt://{HOST}:{broker.port}/home/door"


def test_state_events_availability_and_discovery(broker: Mosquitto) -> None:
    broker.listen()
    with Mqtt(address(broker)) as sink:
        assert sink.write(made_result(label=None))
        broker.wait_for("home/door/state")
        assert sink.write(made_result(LEFT, ENTERED, CHANGED))
        for _ in range(20):
            assert sink.write(made_result())
        broker.wait_for("home/door/events", 3)
    broker.wait_for("home/door/availability", 2)
    assert broker.values("home/door/state") == [
        {"label": None, "score": 0.0, "since": round(TIME, 3)},
        {"label": "cat", "score": 0.8765, "since": round(TIME, 3)},
    ]
    assert [event["kind"] for event in broker.values("home/door/events")] == ["left", "entered", "changed"]
    assert broker.values("home/door/events")[1] == {
        "kind": "entered",
        "label": "cat",
        "previous": None,
        "score": 0.8765,
        "time": round(TIME, 3),
        "lasted_s": 0.0,
    }
    assert broker.texts("home/door/availability") == ["online", "offline"]
    assert len(broker.texts(CONFIG)) == 1


def test_who_comes_later_finds_the_state_and_no_old_events(broker: Mosquitto) -> None:
    with Mqtt(address(broker), name="Front door") as sink:
        sink.write(made_result(LEFT, ENTERED, CHANGED))
        broker.listen("home/door/state")
        broker.wait_for("home/door/state")
        broker.hang_up()
        broker.listen()
        broker.wait_for(CONFIG)
        broker.wait_for("home/door/availability")
        assert {(topic, retained) for topic, _, retained in broker.messages} == {
            (CONFIG, True),
            ("home/door/state", True),
            ("home/door/availability", True),
        }
        assert broker.values("home/door/state")[0]["label"] == "cat"


def test_home_assistant_is_told_what_it_needs(broker: Mosquitto) -> None:
    broker.listen()
    with Mqtt(address(broker), name="Front door"):
        broker.wait_for(CONFIG)
    (config,) = broker.values(CONFIG)
    assert config["unique_id"] == "edge_home_door"
    assert config["state_topic"] == config["json_attributes_topic"] == "home/door/state"
    assert config["availability_topic"] == "home/door/availability"
    assert "value_json.label" in config["value_template"]
    assert config["device"]["name"] == "Front door"
    assert config["device"]["identifiers"] == ["edge_home_door"]


def test_discovery_can_be_left_out_and_the_topic_too(broker: Mosquitto) -> None:
    broker.listen()
    with Mqtt(f"mqtt://{HOST}:{broker.port}", discovery_prefix=None) as sink:
        sink.write(made_result())
        broker.wait_for(f"edge-runtime/{socket.gethostname()}/state")
    assert not [topic for topic, _, _ in broker.messages if "homeassistant" in topic]


def test_the_broker_says_offline_when_the_process_is_killed(broker: Mosquitto) -> None:
    broker.listen()
    code = f"from edge_runtime.sinks import Mqtt; import time; Mqtt({address(broker)!r}); time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        broker.wait_for("home/door/availability")
        process.send_signal(signal.SIGKILL)
    broker.wait_for("home/door/availability", 2)
    assert broker.texts("home/door/availability") == ["online", "offline"]


def test_a_broker_that_comes_later_gets_the_newest_state_and_the_events(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    broker.stop()
    with Mqtt(address(broker), capacity=2) as sink:
        wait_until(lambda: bool(caplog.records))
        sink.write(made_result(LEFT, label=None))
        sink.write(made_result(ENTERED, CHANGED))
        assert sink.dropped == 1  # the oldest
        time.sleep(1.5)  # at least one more attempt, of which nothing is said
        broker.start()
        broker.listen()
        broker.wait_for("home/door/events", 2)
        broker.wait_for("home/door/state")
        assert [event["kind"] for event in broker.values("home/door/events")] == ["entered", "changed"]
        assert [state["label"] for state in broker.values("home/door/state")] == ["cat"]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"The MQTT broker {HOST}:{broker.port} cannot be reached: Connection refused. Retrying until it works."
    ]


@pytest.mark.parametrize("kill", [True, False])
def test_a_broker_that_goes_and_comes_back_is_told_everything_anew(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, kill: bool
) -> None:
    broker.listen()
    with Mqtt(address(broker)) as sink:
        sink.write(made_result(ENTERED, label="cat"))
        broker.wait_for("home/door/state")
        broker.wait_for("home/door/events")
        broker.hang_up()
        broker.stop(kill=kill)
        wait_until(lambda: "disconnected" in caplog.text)
        sink.write(made_result(GONE, label=None))
        broker.start()
        broker.listen()
        broker.wait_for("home/door/availability")
        broker.wait_for("home/door/state")
        broker.wait_for("home/door/events")
        broker.wait_for(CONFIG)
        assert broker.values("home/door/state")[-1]["label"] is None
        assert broker.values("home/door/events")[-1]["label"] is None
        assert sink.dropped == 0


def test_what_was_written_before_the_end_arrives(broker: Mosquitto) -> None:
    broker.listen()
    code = (
        "from edge_runtime.sinks import Mqtt\n"
        "from tests.support.results import ENTERED, made_result\n"
        "from tests.support.waiting import wait_until\n"
        f"with Mqtt({address(broker)!r}) as sink:\n"
        "    wait_until(lambda: sink._connected)\n"
        "    for _ in range(100): sink.write(made_result(ENTERED))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=True)
    broker.wait_for("home/door/events", 100)


def test_a_broker_that_hangs_keeps_nobody_waiting(broker: Mosquitto) -> None:
    broker.listen()
    sink = Mqtt(address(broker))
    broker.wait_for("home/door/availability")
    assert broker._process is not None
    broker._process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    for _ in range(2000):
        sink.write(made_result(ENTERED))
    assert sink.dropped > 0
    sink.close()
    assert time.monotonic() - started < 20
    broker._process.send_signal(signal.SIGCONT)


def test_a_wrong_password_is_told_without_the_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Mosquitto(tmp_path, config=only_for(tmp_path, "me", "r/ght@1")) as broker:
        with Mqtt(f"mqtt://me:wr0ng@{HOST}:{broker.port}/home/door"):
            wait_until(lambda: "refused the connection" in caplog.text)
        assert "Check the user name and password" in caplog.text
        assert "wr0ng" not in caplog.text
        broker.listen(username="me", password="r/ght@1")
        with Mqtt(f"mqtt://me:r%2Fght%401@{HOST}:{broker.port}/home/door"):
            broker.wait_for("home/door/availability")
        assert broker.texts("home/door/availability")[0] == "online"


def test_the_password_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_RUNTIME_MQTT_PASSWORD", "right")
    with Mosquitto(tmp_path, config=only_for(tmp_path, "me", "right")) as broker:
        broker.listen(username="me", password="right")
        with Mqtt(f"mqtt://me@{HOST}:{broker.port}/home/door"):
            broker.wait_for("home/door/availability")


@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")  # paho's, after a handshake that failed
def test_encrypted_and_with_a_certificate_that_nobody_trusts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    config = f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}"
    with Mosquitto(tmp_path, config=config) as broker:
        url = f"mqtts://{HOST}:{broker.port}/home/door"
        with Mqtt(url) as sink:
            wait_until(lambda: "cannot be reached" in caplog.text)
            sink.write(made_result(ENTERED))
        assert "certificate verify failed" in caplog.text.lower()
        assert "could not be reached; events lost: 1" in caplog.text
        # Trusted by OpenSSL's own environment variable, in a process of its own.
        code = (
            "from edge_runtime.sinks import Mqtt; import sys, time\n"
            f"sink = Mqtt({url!r})\n"
            "for _ in range(3000):\n"
            "    if sink._connected: sys.exit()\n"
            "    time.sleep(0.01)\n"
            "sys.exit('not connected')\n"
        )
        environment = {**os.environ, "SSL_CERT_FILE": str(certificate)}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, timeout=60, check=False)
        assert done.returncode == 0


def test_nothing_is_published_where_nothing_is_decided(broker: Mosquitto) -> None:
    broker.listen()
    with Mqtt(address(broker)) as sink:
        assert not sink.wants(made_result(decided=False))
        assert sink.write(made_result(decided=False))
        broker.wait_for("home/door/availability")
    broker.wait_for("home/door/availability", 2)
    assert broker.texts("home/door/state") == broker.texts("home/door/events") == []


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@host/",
        "mqtt://",
        "mqtt:///topic",
        "mqtt://me:s3#cret@host/a",
        "mqtt://me:s3/cret@host/a",
        "host",
    ],
)
def test_what_is_no_address_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"use the form mqtt://user:password@host:1883/topic") as caught:
        Mqtt(url)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_prefix_that_is_no_topic_is_refused() -> None:
    with pytest.raises(ValueError, match=r"discovery prefix .* contains"):
        Mqtt("mqtt://host/a", discovery_prefix="home/#")


@pytest.mark.parametrize("topic", ["home/+", "home/%23", "home?x=1", "home#x"])
def test_what_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="MQTT topic contains"):
        Mqtt(f"mqtt://host/{topic}")


def test_without_paho_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(OutputError, match=r"pip install 'edge-image-sdk\[mqtt\]'"):
        Mqtt("mqtt://host/topic")


def test_it_has_the_same_name_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker replaces the connection of before then, which else would say "offline" a minute later."""
    names = []
    for topic in ("a", "a", "b"):
        sink = Mqtt(f"mqtt://{HOST}:1/{topic}")
        names.append(sink._client._client_id.decode())
        sink.close()
    assert names[0] == names[1] != names[2]
    assert all(len(name) <= 23 for name in names)
    assert mqtt.KEEPALIVE_S < 60
