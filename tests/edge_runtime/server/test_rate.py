"""How often a client may ask, and who counts as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.server.protection.limits import RateLimiter, client_of


@given(
    st.floats(0.1, 1000),
    st.floats(1, 100),
    st.lists(st.floats(0, 3), max_size=200),
)
def test_in_no_span_of_time_more_pass_than_burst_and_rate_allow(rate: float, burst: float, gaps: list[float]) -> None:
    limiter, now, passed = RateLimiter(rate, burst=burst), 0.0, []
    for gap in gaps:
        now += gap / rate
        if limiter.wait_s("a", now) == 0:
            passed.append(now)
    for first, start in enumerate(passed):
        for count, end in enumerate(passed[first:], 1):
            assert count <= burst + rate * (end - start) + 1e-6


@given(st.floats(0.1, 1000), st.floats(1, 100), st.lists(st.floats(0, 3), max_size=200))
def test_whoever_waits_as_told_passes(rate: float, burst: float, gaps: list[float]) -> None:
    limiter, now = RateLimiter(rate, burst=burst), 0.0
    for gap in gaps:
        now += gap / rate
        wait_s = limiter.wait_s("a", now)
        if wait_s:
            assert wait_s <= 1 / rate + 1e-9
            now += wait_s + 1e-9 * max(now, 1)
            assert limiter.wait_s("a", now) == 0


def test_one_client_s_haste_is_no_other_s() -> None:
    limiter = RateLimiter(1, burst=2)
    assert [limiter.wait_s("a", 0) for _ in range(4)] == [0, 0, 1, 1]
    assert limiter.wait_s("b", 0) == 0
    assert limiter.wait_s("a", 1) == 0


def test_a_million_addresses_need_no_more_memory_than_some_thousands() -> None:
    limiter = RateLimiter(1, burst=2)
    for number in range(1_000_000):
        limiter.wait_s(str(number), number / 1000)
    assert len(limiter) == 4096


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_a_client_is_an_address_or_a_network(host: str, client: str) -> None:
    assert client_of(host) == client
