"""Events for a web server."""

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
    """Posts each event as JSON, and tries again when that can help. It belongs into `Background`.

    An attempt fails for good with a status of 3xx or 4xx, because the next one would too; 408, 429, 5xx and what goes
    wrong on the network are worth another, after a delay that doubles and is up to half shorter at random, so that many
    devices don't come back in step. An event may arrive twice: the answer to the first attempt may have been lost.
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
        """Prepares the requests; nothing is sent yet.

        Args:
            url: ``http://…`` or ``https://…``; ``user:password@`` before the host is sent as basic authentication.
            headers: More of them, for example ``{"Authorization": "Bearer …"}``.
            timeout_s: How long the server may be silent.
            attempts: For each event, the first one included.
            kinds: As for `EventSink`.
            labels: As for `EventSink`.

        Raises:
            RulesError: It isn't such a URL, or there is no such kind.
        """
        super().__init__(kinds=kinds, labels=labels)
        if attempts < 1:
            raise RulesError(f"Expected at least 1 attempt, got {attempts}.")
        if any("\n" in value or "\r" in value for value in (headers or {}).values()):
            raise RulesError("Expected headers of one line each, got one with a line break.")
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
        """Posts one event.

        Raises:
            OutputError: The server didn't take it.
        """
        delay_s = FIRST_DELAY_S
        for attempt in range(1, self._attempts + 1):
            failure = self._post(event_json(event).encode())
            if failure is None:
                return
            reason, again = failure
            if not again or attempt == self._attempts:
                tries = f" in {attempt} attempts" if attempt > 1 else ""
                raise OutputError(f"Expected the {self.describe()} to take an event, got{tries}: {reason}.")
            time.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"webhook at {self._place}"  # its path may be the secret

    def _post(self, body: bytes) -> tuple[str, bool] | None:
        """None when the server took it, else why not, and whether another attempt can help."""
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
            moved = "; give the address that it redirects to" if 300 <= error.code < 400 else ""
            return f"status {error.code} {error.reason}{moved}", error.code in (408, 429) or error.code >= 500
        except URLError as error:
            return str(getattr(error.reason, "strerror", None) or error.reason), True
        except (OSError, HTTPException) as error:
            return str(error) or type(error).__name__, True
        return None


def _no_redirects() -> Any:
    """urllib follows a redirect by a GET without the event, and calls that a success."""
    from urllib.request import HTTPRedirectHandler

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return NoRedirects()
