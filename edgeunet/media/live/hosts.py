"""Checks the host and the port of an address before a library is given it.

Libraries answer a name that nobody knows, or a port that cannot be, with words that name neither.
"""

from __future__ import annotations

import os
import re
import socket
from urllib.parse import unquote

from edgeunet.errors import UsageError
from edgeunet.media.live.addresses import encoded
from edgeunet.media.live.live_inputs import Loss, LostInputError

_AUTHORITY = re.compile(r"\w+://(?:[^/?#]*@)?(?P<host>\[[^\]]*\]|[^:/?#]*)(?::(?P<port>[^/?#]*))?")
_WITHOUT_USUAL_PORT = ("udp", "srt")
_LARGEST_PORT = 65535
# FFmpeg asks it for http and https, and then it is the proxy that knows names.
_PROXY = "http_proxy"


def check_port(name: str, address: str) -> None:
    """Raise UsageError for a port that cannot be one, or is missing where none is usual.

    name: the address without passwords, for messages.
    """
    match = _AUTHORITY.match(encoded(address))
    port = match["port"] if match is not None else None
    if port is None:
        if address.partition("://")[0] in _WITHOUT_USUAL_PORT:
            raise UsageError(f"{name!r} names no port", hint="write it after the host, as in :5000")
        return
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _LARGEST_PORT):
        raise UsageError(
            f"{name!r} has {port!r} where a port stands",
            hint=f"ports are 1 to {_LARGEST_PORT}; a password with a colon or a slash is safest in "
            "EDGEUNET_PASSWORD",
        )


def check_host(name: str, address: str) -> None:
    """Raise LostInputError when the host is a name that is not known here, or not now.

    name: the address without passwords, for messages.
    """
    match = _AUTHORITY.match(encoded(address))
    host = unquote(match["host"].strip("[]@")) if match is not None else ""
    by_proxy = address.startswith("http") and _PROXY in os.environ
    if not host or by_proxy:
        return
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise LostInputError(
            Loss.ERROR,
            f"{name!r} cannot be read: the host {host!r} is not known here",
            hint="check its name and the network; an address in digits needs no name server",
        ) from error
