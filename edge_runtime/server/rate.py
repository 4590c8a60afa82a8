"""How often a client may ask."""

from __future__ import annotations

from collections import OrderedDict

_CLIENTS = 4096  # that are remembered; whoever has more addresses isn't held by a limit for each


class RateLimiter:
    """A token bucket for each client, as the generic cell rate algorithm counts it (ITU-T I.371, annex A).

    Args:
        rate: Requests a second.
        burst: Requests at once after a pause.
    """

    def __init__(self, rate: float, *, burst: float) -> None:
        self._period_s = 1 / rate
        self._slack_s = max(burst - 1, 0) / rate
        self._due: OrderedDict[str, float] = OrderedDict()  # when a client that keeps to the rate would ask next

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._due)

    def wait_s(self, client: str, now: float) -> float:
        """Counts a request; 0 where it may pass, or after how many seconds one may.

        Args:
            client: Who asks.
            now: In seconds, of a clock that never goes back.
        """
        due = max(self._due.pop(client, now), now)
        wait_s = max(due - now - self._slack_s, 0.0)
        self._due[client] = due if wait_s else due + self._period_s
        if len(self._due) > _CLIENTS:
            self._due.popitem(last=False)
        return wait_s
