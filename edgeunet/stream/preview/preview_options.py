"""Where the page is served, and who may see it."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from edgeunet.errors import UsageError

TOKEN_VARIABLE = "EDGEUNET_PREVIEW_TOKEN"
DEFAULT_PORT = 8780
_SHORTEST_TOKEN = 16
_EXAMPLE = "write it like 127.0.0.1:8780 or [::]:8780"


@dataclass(frozen=True)
class PreviewOptions:
    """Where a page is served.

    host: an address of this machine. Beyond loopback a token is required.
    port: 0 takes any that is free.
    token: what a viewer must know; None where the page is on loopback and open.
    metrics: whether figures for Prometheus are served, too.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    metrics: bool = False

    @property
    def on_loopback(self) -> bool:
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    @property
    def authority(self) -> str:
        """The host and the port, as they stand in an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_preview(address: str, token_file: Path | None, *, metrics: bool = False) -> PreviewOptions:
    """Read ``HOST:PORT``; the token comes from a file, or else from the environment.

    Raises UsageError for an address that is none, for a token that cannot be read or is short, and
    for an address beyond loopback without a token.
    """
    host, colon, digits = address.rpartition(":")
    if not colon:
        host, digits = address, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    try:
        if host != "localhost":
            ipaddress.ip_address(host)
        port = int(digits)
    except ValueError:
        port = -1
    if not 0 <= port < 65536:
        raise UsageError(f"{address!r} is no address for the preview", hint=_EXAMPLE)
    options = PreviewOptions(host, port, _token(token_file), metrics)
    if not options.on_loopback and options.token is None:
        raise UsageError(
            f"a preview at {options.authority} can be seen from other machines and needs a token",
            hint=f"set {TOKEN_VARIABLE}, or name a file with --preview-token",
        )
    return options


def _token(file: Path | None) -> str | None:
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE)
    else:
        try:
            token = file.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"the token file {str(file)!r} cannot be read", hint="write the token into it"
            ) from error
    if token is None:
        return None
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"the token of the preview is not {_SHORTEST_TOKEN} or more printable letters",
            hint="make one: openssl rand -hex 16",
        )
    return token
