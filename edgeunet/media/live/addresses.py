"""Addresses with passwords: how they are shown, completed and given to a library."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from edgeunet.errors import UsageError

PASSWORD_VARIABLE = "EDGEUNET_PASSWORD"
PLACEHOLDER = "{password}"
_HIDDEN = "***"

# An address in a text such as a GStreamer pipeline ends at a blank, or at the quote before it.
_ADDRESS = re.compile(r"""(?<=")\w+://[^"]*|(?<=')\w+://[^']*|\w+://[^\s"']*""")
_SECRET_KEY = re.compile(
    r"""(?i)([\w-]*(?:passw|passphrase|pwd|token|secret|api_?key|auth|(?<![a-z])pass|(?<![a-z])pw)"""
    r"""[\w-]*\s*=\s*)("[^"]*"|'[^']*'|[^\s&"';!]+)"""
)
_HOST = re.compile(r"(?:\[[\da-fA-F:.]+\]|[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?|[\w-]+:\d+")
_USER = re.compile(r"(?P<scheme>\w+://)(?P<user>[^/@:]*):(?P<rest>.*)", re.DOTALL)


def without_passwords(text: str) -> str:
    """Return a source as it may be shown: every password in it is ``***``.

    Passwords may contain ``@``, ``/`` and ``?``. Where a text can be read in two ways, more is
    hidden than need be: everything up to the last ``@`` may belong to the password.
    """
    hidden = _ADDRESS.sub(lambda found: _hide(found.group()), text)
    return _SECRET_KEY.sub(lambda found: found.group(1) + _HIDDEN, hidden)


def _hide(address: str) -> str:
    match = _USER.fullmatch(address)
    if match is None or "@" not in match["rest"]:
        return address
    return f"{match['scheme']}{match['user']}:{_HIDDEN}@{match['rest'].rpartition('@')[2]}"


def known_password(file: Path | None) -> str | None:
    """Return the password from a file's first line, or else from the environment, or None.

    Raises UsageError when the file cannot be read or is empty. The text of it is in no message.
    """
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"the password file {str(file)!r} cannot be read: {reason}",
            hint="write the password into its first line, and let only this user read it",
        ) from error
    if not lines or not lines[0]:
        raise UsageError(
            f"the password file {str(file)!r} is empty", hint="write the password into it"
        )
    return lines[0]


def with_password(text: str, password: str | None) -> str:
    """Return a source with the password put in, percent-encoded inside an address.

    It takes the place of ``{password}``, or follows a user in ``rtsp://user@host``.
    Raises UsageError when ``{password}`` stands there and no password is known.
    """
    if password is None:
        if PLACEHOLDER in text:
            raise UsageError(
                f"the source has {PLACEHOLDER}, and no password is known",
                hint=f"set {PASSWORD_VARIABLE}, or name a file with --password-file",
            )
        return text
    if PLACEHOLDER in text:
        encoded = quote(password, safe="")
        text = _ADDRESS.sub(lambda found: found.group().replace(PLACEHOLDER, encoded), text)
        # What is left stands in a pipeline, where a blank would end a property.
        escaped = password.replace("\\", "\\\\").replace('"', '\\"')
        return text.replace(f'"{PLACEHOLDER}"', PLACEHOLDER).replace(PLACEHOLDER, f'"{escaped}"')
    scheme, separator, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if separator and at and ":" not in user and scheme != "gst":
        return f"{scheme}://{user}:{quote(password, safe='')}@{host}{slash}{path}"
    return text


def encoded(address: str) -> str:
    """Return an address whose user and password are percent-encoded, as libraries want them.

    A password may contain ``@`` and ``/``: the host is what follows the first ``@`` and looks like
    one, with a dot or a port. What is percent-encoded already stays as it is.
    """
    scheme, separator, rest = address.partition("://")
    split = _end_of_password(rest)
    if split is None:
        return address
    user, colon, password = rest[:split].partition(":")
    who = _quoted(user) + (f":{_quoted(password)}" if colon else "")
    return f"{scheme}{separator}{who}@{rest[split + 1 :]}"


def _end_of_password(rest: str) -> int | None:
    """Return the position of the ``@`` before the host; None when there is no user.

    rest: an address without its scheme.
    """
    ends = [index for index, letter in enumerate(rest.partition("?")[0]) if letter == "@"]
    ends += [index for index, letter in enumerate(rest) if letter == "@" and index not in ends]
    authority = rest.partition("/")[0]
    if not ends or ("@" not in authority and _HOST.fullmatch(authority)):
        return None
    likely = (end for end in ends if _HOST.fullmatch(rest[end + 1 :].partition("/")[0]))
    in_authority = [end for end in ends if end < len(authority)]
    return next(likely, in_authority[-1] if in_authority else ends[0])


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="")


def scrubbed(message: str, address: str) -> str:
    """Return a library's message without the passwords of an address in it."""
    shown = message.replace(address, without_passwords(address))
    match = _USER.match(encoded(address))
    if match is not None and "@" in match["rest"]:
        password = match["rest"].partition("@")[0]
        for form in {password, unquote(password)} - {""}:
            shown = shown.replace(form, _HIDDEN)
    return without_passwords(shown)
