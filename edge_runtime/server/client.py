"""Who counts as one client."""

from __future__ import annotations

import ipaddress

_NETWORK_BITS = 64  # of an IPv6 address: what is behind them, a client chooses as it likes (RFC 4291, section 2.5.4)


def client_of(host: str) -> str:
    """The client at an address: an IPv4 address or an IPv6 network; any other text is a client of its own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> _NETWORK_BITS << _NETWORK_BITS, _NETWORK_BITS)))
