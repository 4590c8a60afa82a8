"""Publishes decisions and events to an MQTT broker, with Home Assistant discovery."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from edge_runtime.errors import OutputError, RulesError
from edge_runtime.sinks.address import split_address
from edge_runtime.sinks.base import Sink
from edge_runtime.sinks.events import event_json, events_of

if TYPE_CHECKING:
    from edge_runtime.types import Decision, Event, LiveResult

logger = logging.getLogger(__name__)

PASSWORD_VARIABLE = "EDGE_RUNTIME_MQTT_PASSWORD"  # nosec B105 # the variable's name
_INSTALL = "Run: pip install 'edge-image-sdk[mqtt]'"
KEEPALIVE_S = 30
LONGEST_DELAY_S = 30
_AT_LEAST_ONCE = 1
_QUEUE_SIZE = 15  # paho's MQTT_ERR_QUEUE_SIZE: its queue is full


class Mqtt(Sink):
    """Publishes the decision and its events under one topic.

    - ``TOPIC/state``: the decision as JSON with ``label`` (null for unknown), ``score`` and ``since``; retained,
      published whenever the label changes.
    - ``TOPIC/events``: each event as JSON; not retained.
    - ``TOPIC/availability``: ``online`` or ``offline``; retained. The broker sets ``offline`` itself (last will) when
      the connection is lost.

    Home Assistant finds the sensor through MQTT discovery.

    `write` never waits, because paho-mqtt uses its own thread; `Background` isn't needed. While the broker is
    unreachable, also at the start, up to ``capacity`` of the newest events are kept and sent after reconnecting.

    Args:
        url: ``mqtt://user:password@host:1883/topic``, or ``mqtts://…`` for TLS. A password missing from the URL is read
            from the environment variable ``EDGE_RUNTIME_MQTT_PASSWORD``. Give each device its own topic; default:
            ``edge-runtime/HOSTNAME``.
        name: Device name in Home Assistant; default: the last level of the topic.
        discovery_prefix: Topic prefix of Home Assistant's discovery; None disables discovery.
        capacity: Maximum number of events that wait for the broker.

    Attributes:
        dropped: Number of events lost because the broker was unreachable for too long.

    Raises:
        OutputError: paho-mqtt is not installed, or too old.
        RulesError: The URL is invalid, or its topic or the discovery prefix cannot be published to.
    """

    needs_pixels = False

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        discovery_prefix: str | None = "homeassistant",
        capacity: int = 256,
    ) -> None:
        parts = split_address(url, schemes=("mqtt", "mqtts"), example="mqtt://user:password@host:1883/topic")
        self._topic = unquote(parts.path).strip("/") or f"edge-runtime/{socket.gethostname()}"
        if parts.query or parts.fragment or any(sign in self._topic for sign in "+#\0"):
            raise RulesError("The MQTT topic contains +, # or ?. Choose a topic without them.")
        if any(sign in (discovery_prefix or "") for sign in "+#\0"):
            raise RulesError(f"The discovery prefix {discovery_prefix!r} contains + or #. Choose one without them.")
        if capacity < 1:
            raise RulesError(f"capacity must be at least 1, got {capacity}.")
        client_module = _paho()
        tls = parts.scheme == "mqtts"
        port = parts.port or (8883 if tls else 1883)
        self._name = name or self._topic.rpartition("/")[2]
        self._discovery_prefix = discovery_prefix
        self._place = f"{parts.hostname}:{port}"
        self.dropped = 0
        self._ended = threading.Event()
        # Shared with paho's thread; guarded by the lock.
        self._lock = threading.Lock()
        self._state: Decision | None = None
        self._waiting: deque[Event] = deque(maxlen=capacity)
        self._connected = False
        self._closed = False
        self._complained = False
        # The client ID is stable: a broker that still holds our previous connection then ends it at once. Otherwise it
        # would time out later, and its last will would overwrite "online" with "offline".
        client_id = "edge-" + hashlib.sha256(f"{socket.gethostname()}/{self._topic}".encode()).hexdigest()[:16]
        self._client = client_module.Client(client_module.CallbackAPIVersion.VERSION2, client_id)
        password = unquote(parts.password) if parts.password is not None else os.environ.get(PASSWORD_VARIABLE)
        if parts.username or password:
            self._client.username_pw_set(unquote(parts.username or ""), password)
        if tls:
            self._client.tls_set()
        self._client.will_set(self._under("availability"), "offline", _AT_LEAST_ONCE, retain=True)
        self._client.reconnect_delay_set(1, LONGEST_DELAY_S)
        self._client.max_queued_messages_set(2 * capacity)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.connect_async(parts.hostname, port, KEEPALIVE_S)
        self._client.loop_start()

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        return result.decision is not None and (self._state is None or bool(events_of(result)))

    def write(self, result: LiveResult) -> bool:
        """Publish the events, and the state if its label changed. Never waits."""
        if result.decision is None or not self.wants(result):
            return True
        with self._lock:
            before, now = self._state, result.decision
            is_news = before is None or (before.label, before.labels) != (now.label, now.labels)
            self._state = replace(result.decision, events=())
            if is_news and self._connected:
                self._publish_state()
            for event in events_of(result):
                if self._connected:
                    self._publish_event(event)
                    continue
                self.dropped += len(self._waiting) == self._waiting.maxlen
                self._waiting.append(event)
        return True

    def close(self) -> None:
        """Publish ``offline`` and disconnect, within ``close_timeout_s`` even if the broker does not respond."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            # Its acknowledgment also covers all earlier messages: those that the broker has not read yet would be lost.
            sent = self._publish_retained("availability", "offline", qos=_AT_LEAST_ONCE) if self._connected else None
        deadline = time.monotonic() + self.close_timeout_s
        if sent is not None and sent.rc == 0:
            sent.wait_for_publish(self.close_timeout_s)
        self._client.disconnect()
        # Not loop_stop(), which would wait as long as the broker hangs. The thread ends by itself.
        if sent is not None:
            self._ended.wait(max(deadline - time.monotonic(), 0.0))
        if self._waiting:
            logger.warning("The %s could not be reached; events lost: %d.", self.describe(), len(self._waiting))

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"MQTT broker {self._place}"

    def _on_connect(self, client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._lock:
            if self._closed:
                client.disconnect()
                return
            if reason.is_failure:
                self._complain(f"refused the connection: {reason}. Check the user name and password.")
                return
            self._connected = True
            self._complained = False
            logger.info("Connected to the %s.", self.describe())
            if self._discovery_prefix is not None:
                topic = f"{self._discovery_prefix}/sensor/{self._unique_id}/config"
                client.publish(topic, json.dumps(self._discovery()), retain=True)
            self._publish_retained("availability", "online")
            if self._state is not None:
                self._publish_state()
            while self._waiting:
                self._publish_event(self._waiting.popleft())

    def _on_connect_fail(self, client: Any, _userdata: Any) -> None:
        with self._lock:
            if self._closed:
                client.disconnect()
                return
            error = sys.exc_info()[1]  # paho calls this inside its except block
            self._complain(f"cannot be reached: {getattr(error, 'strerror', None) or error}.")

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        # Without our lock: paho may hold one of its own here, which `write` may be waiting for.
        if self._connected and not self._closed:
            self._complain("disconnected.")
        self._connected = False
        if self._closed:
            self._ended.set()

    def _complain(self, what: str) -> None:
        """Log a warning, once per outage."""
        if not self._complained:
            logger.warning("The %s %s Retrying until it works.", self.describe(), what)
        self._complained = True

    def _publish_state(self) -> None:
        assert self._state is not None
        self._publish_retained("state", json.dumps(self._state.to_dict(), separators=(",", ":")))

    def _publish_retained(self, topic: str, text: str, *, qos: int = 0) -> Any:
        # At most once by default: after a reconnect paho would resend unacknowledged messages, after newer ones.
        # `_on_connect` publishes the retained state again anyway.
        return self._client.publish(self._under(topic), text, qos, retain=True)

    def _publish_event(self, event: Event) -> None:
        sent = self._client.publish(self._under("events"), event_json(event), _AT_LEAST_ONCE)
        self.dropped += sent.rc == _QUEUE_SIZE

    def _under(self, topic: str) -> str:
        return f"{self._topic}/{topic}"

    @property
    def _unique_id(self) -> str:
        return "edge_" + re.sub(r"[^a-zA-Z0-9_-]", "_", self._topic)

    def _discovery(self) -> dict[str, Any]:
        """Return the discovery message (https://www.home-assistant.io/integrations/sensor.mqtt)."""
        from edge_runtime.version import __version__

        return {
            "name": None,  # use the device name
            "unique_id": self._unique_id,
            "state_topic": self._under("state"),
            "value_template": "{{ value_json.label if value_json.label is not none else 'unknown' }}",
            "json_attributes_topic": self._under("state"),
            "availability_topic": self._under("availability"),
            "icon": "mdi:eye",
            "device": {
                "identifiers": [self._unique_id],
                "name": self._name,
                "manufacturer": "edge-image-sdk",
                "model": "edge-runtime",
                "sw_version": __version__,
            },
            "origin": {"name": "edge-image-sdk", "sw_version": __version__},
        }


def _paho() -> Any:
    try:
        import paho.mqtt.client as client
    except ImportError as error:
        raise OutputError(f"MQTT needs paho-mqtt, which cannot be imported. {_INSTALL}") from error
    if not hasattr(client, "CallbackAPIVersion"):
        raise OutputError(f"MQTT needs paho-mqtt 2, but an older version is installed. {_INSTALL}")
    return client
