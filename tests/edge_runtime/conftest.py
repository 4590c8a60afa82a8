from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until


@pytest.fixture
def no_thread_is_left_behind() -> Iterator[None]:
    before = threading.active_count()
    yield
    wait_until(lambda: threading.active_count() == before, f"left behind: {threading.enumerate()}", seconds=20)
