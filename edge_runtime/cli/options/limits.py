"""Options for the web server's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.cli.options.values import positive, positive_float
from edge_runtime.server.protection.limits import Limits

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


class _Limit(NamedTuple):
    """Option for a field of `Limits`, in multiples of ``unit``."""

    option: str
    field: str
    text: str
    parse: Callable[[str], float] = positive
    unit: int = 1


_LIMITS = (
    _Limit("max_mib", "max_bytes", "Maximum size of an uploaded picture in MiB", unit=1024**2),
    _Limit("max_megapixels", "max_pixels", "Maximum resolution of an uploaded picture in megapixels", unit=10**6),
    _Limit("max_uploads", "max_uploads", "Maximum number of simultaneous uploads; one client may use half of them"),
    _Limit("max_viewers", "max_viewers", "Maximum number of simultaneous streams; a page uses two"),
    _Limit("max_connections", "max_connections", "Maximum number of open connections"),
    _Limit("max_client_connections", "max_client_connections", "Maximum number of open connections per client"),
    _Limit("max_rate", "max_rate", "Maximum requests per second and client; twice as many in bursts", positive_float),
    _Limit("header_timeout", "header_timeout_s", "Seconds in which a request's headers must arrive", positive_float),
    _Limit("body_timeout", "body_timeout_s", "Seconds in which a request's body must arrive", positive_float),
    _Limit("send_timeout", "send_timeout_s", "Seconds in which a client must receive its data", positive_float),
)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options for the server's limits."""
    group = parser.add_argument_group(
        "limits",
        "A client is an IPv4 address or an IPv6 network of 64 bits; all clients behind a\nproxy count as one.",
    )
    for limit in _LIMITS:
        group.add_argument(
            f"--{limit.option.replace('_', '-')}",
            type=limit.parse,
            default=getattr(Limits, limit.field) // limit.unit,
            metavar="S" if limit.field.endswith("_s") else "N",
            help=limit.text,
        )


def server_limits(arguments: argparse.Namespace) -> Limits:
    """Return the limits of the options of `add_limits`."""
    return Limits(**{limit.field: getattr(arguments, limit.option) * limit.unit for limit in _LIMITS})
