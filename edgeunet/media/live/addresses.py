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

# An address in a text such as a GStreamer pipeline ends at the quote that it began with, or at a
# blank. Where a password has a blank in it, no port follows the user, and it goes on to an @.
_ADDRESS = re.compile(
    r"""(?<=")\w+://(?:\\.|[^"\\])*|(?<=')\w+://[^']*"""
    r"""|\w+://[^\s/:@]*:(?!\d*(?:[/?#\s"']|\Z))[^@]*@\S*|\w+://\S*""",
    re.DOTALL,
)
_WORD = r"""[\w-]*(?:passw|passphrase|pwd|token|secret|api_?key|auth|(?<![a-z])pass|(?<![a-z])pw)"""
_SECRET_KEY = re.compile(
    rf"""(?i)(?P<key>{_WORD}[\w-]*\s*=\s*)(?!\*\*\*)(?P<value>"(?:\\.|[^"\\])*"|'[^']*'|[^\s&]+)"""
)
# In a query these are secrets, too, and a value goes on to the next key.
_SECRET_IN_QUERY = re.compile(
    rf"""(?i)(?P<key>[?&](?:{_WORD}[\w-]*|p|key|sig|signature|credentials?)=)(?!\*\*\*)(?P<value>[^&]+)"""
)
_HOST = re.compile(r"(?:\[[\da-fA-F:.]+\]|[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?|[\w-]+:\d+")
_AUTHORITY = re.compile(r"[/?#]")
_USER = re.compile(r"(?P<scheme>\w+://)(?P<user>[^/:]*):(?P<rest>.*)", re.DOTALL)
_ALONE = re.compile(r"\w+://.+", re.DOTALL)
_PIPELINE = "gst://"


def without_passwords(text: str) -> str:
    """Return a source as it may be shown: every password in it is ``***``.

    Passwords may contain ``@``, ``/``, ``?``, quotes and blanks. Where a text can be read in two
    ways, more is hidden than need be: everything up to the last ``@`` may belong to the password.
    """
    return _hidden(text)[0]


def _hidden(text: str) -> tuple[str, set[str]]:
    """Return a text without its passwords, and the passwords."""
    found: set[str] = set()

    def hide_value(match: re.Match[str]) -> str:
        found.add(match["value"])
        return match["key"] + _HIDDEN

    def hide_address(match: re.Match[str]) -> str:
        address = _SECRET_IN_QUERY.sub(hide_value, match.group())
        split = _USER.fullmatch(address)
        if split is not None and "@" in split["rest"]:
            password, _, rest = split["rest"].rpartition("@")
            found.add(password)
            address = f"{split['scheme']}{split['user']}:{_HIDDEN}@{rest}"
        return address

    if _ALONE.fullmatch(text) and not text.startswith(_PIPELINE):
        shown = _ALONE.sub(hide_address, text)
    else:
        shown = _ADDRESS.sub(hide_address, text)
    return _SECRET_KEY.sub(hide_value, shown), found


def known_password(file: Path | None) -> str | None:
    """Return the password from a file's first line, or else from the environment, or None.

    Raises UsageError when the file cannot be read or is empty. The text of it is in no message.
    """
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
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


def with_encoded_addresses(pipeline: str) -> str:
    """Return a pipeline in whose addresses user and password are percent-encoded."""
    return _ADDRESS.sub(lambda found: encoded(found.group()), pipeline)


def _end_of_password(rest: str) -> int | None:
    """Return the position of the ``@`` before the host; None when there is no user.

    rest: an address without its scheme.
    """
    ends = [index for index, letter in enumerate(rest.partition("?")[0]) if letter == "@"]
    ends += [index for index, letter in enumerate(rest) if letter == "@" and index not in ends]
    authority = _AUTHORITY.split(rest)[0]
    # Without a colon no password begins in front of the path.
    alone = ":" not in authority or _HOST.fullmatch(authority)
    if not ends or ("@" not in authority and alone):
        return None
    likely = (end for end in ends if _HOST.fullmatch(_AUTHORITY.split(rest[end + 1 :])[0]))
    in_authority = [end for end in ends if end < len(authority)]
    return next(likely, in_authority[-1] if in_authority else ends[0])


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="")


def scrubbed(message: str, address: str) -> str:
    """Return a library's message without the passwords of an address or a pipeline in it."""
    shown = message.replace(address, without_passwords(address))
    secrets = _hidden(address)[1]
    match = _USER.match(encoded(address))
    if match is not None and "@" in match["rest"]:
        secrets.add(match["rest"].partition("@")[0])
    secrets |= {secret.strip("\"'").replace('\\"', '"') for secret in secrets}
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        shown = shown.replace(secret, _HIDDEN)
    return without_passwords(shown)
