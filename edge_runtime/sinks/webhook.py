"""Posts events to a web server."""

from __future__ import annotations

import random
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlunsplit

from edge_runtime.errors import OutputError, RulesError
from edge_runtime.sinks.address import split_address
from edge_runtime.sinks.events import EventSink, event_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.types import Event, EventKind

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0


class Webhook(EventSink):
    """Posts each event as JSON, with retries. Wrap it in `Background`.

    Network errors and the statuses 408, 429 and 5xx are retried, with exponential backoff and jitter so that many
    devices do not retry in step; other 3xx and 4xx statuses are not. An event may arrive twice if the response to the
    first attempt was lost.

    Args:
        url: ``http://…`` or ``https://…``; ``user:password@`` before the host is sent as basic authentication.
        headers: Additional headers, for example ``{"Authorization": "Bearer …"}``.
        timeout_s: Maximum seconds to wait for the server.
        attempts: Maximum number of attempts per event, at least 1.
        kinds: Kinds of events to take; see `EventSink`.
        labels: Classes to take events of; see `EventSink`.

    Raises:
        RulesError: The URL, a header, a kind or the number of attempts is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        attempts: int = 5,
        kinds: Sequence[EventKind] = (),
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__(kinds=kinds, labels=labels)
        if attempts < 1:
            raise RulesError(f"attempts must be at least 1, got {attempts}.")
        if any("\n" in value or "\r" in value for value in (headers or {}).values()):
            raise RulesError("A webhook header contains a line break. Give each header on one line.")
        parts = split_address(url, schemes=("http", "https"), example="https://example.com/events")
        self._place = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit(parts._replace(netloc=self._place, fragment=""))
        self._headers = {"Content-Type": "application/json", "User-Agent": "edge-runtime"}
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + b64encode(secret.encode()).decode()
        self._headers.update(headers or {})
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._opener: Any = None

    def send(self, event: Event) -> None:
        """Post one event.

        Raises:
            OutputError: The server cannot be reached or rejected the event.
        """
        delay_s = FIRST_DELAY_S
        for attempt in range(1, self._attempts + 1):
            failure = self._post(event_json(event).encode())
            if failure is None:
                return
            reason, again = failure
            if not again or attempt == self._attempts:
                tries = f" in {attempt} attempts" if attempt > 1 else ""
                raise OutputError(f"The {self.describe()} did not accept the event{tries}: {reason}.")
            time.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"webhook at {self._place}"  # without the path, which may be the secret

    def _post(self, body: bytes) -> tuple[str, bool] | None:
        """Return None on success, otherwise the reason and whether to retry."""
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, build_opener

        if self._opener is None:
            self._opener = build_opener(_no_redirects())
        request = Request(self._url, body, self._headers, method="POST")
        try:
            self._opener.open(request, timeout=self._timeout_s).close()
        except HTTPError as error:
            error.close()
            moved = "; use the address that it redirects to" if 300 <= error.code < 400 else ""
            return f"status {error.code} {error.reason}{moved}", error.code in (408, 429) or error.code >= 500
        except URLError as error:
            return str(getattr(error.reason, "strerror", None) or error.reason), True
        except (OSError, HTTPException) as error:
            return str(error) or type(error).__name__, True
        return None


def _no_redirects() -> Any:
    """Return a handler that rejects redirects; urllib would follow with a GET, drop the event and report success."""
    from urllib.request import HTTPRedirectHandler

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return NoRedirects()
