"""``edgeunet run --config FILE``: a TOML file that holds what the command line takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from edgeunet.errors import UsageError, near_match

_SIMPLE = (str, int, float, bool)


def read_config(path: Path) -> dict[str, Any]:
    """Return the table of a configuration file. Raises UsageError when it cannot be read."""
    import msgspec

    from edgeunet.files import read_toml

    try:
        return read_toml(path, dict[str, Any])
    except OSError as error:
        raise UsageError(
            f"the configuration {str(path)!r} cannot be read: {error.strerror}",
            hint="name a TOML file with source, bundle, and other options of edgeunet run",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the configuration {str(path)!r} is no TOML: {error}",
            hint='write it like: source = "csi://0"',
        ) from error


def defaults_of(path: Path, table: dict[str, Any], parameters: list[Any]) -> dict[str, Any]:
    """Return the values of a table by the names of a command's parameters.

    parameters: Typer's. In the file their names may have hyphens, as on the command line. One text
        may stand where several are taken.
    Raises UsageError for a key that the command does not take, for a value that is a table, and for
    true or false where it is no answer.
    """
    by_key = {one.name.replace("_", "-"): one for one in parameters if one.name != "config"}
    known = set(by_key)
    values = {}
    for key, value in table.items():
        parameter = by_key.get(key.replace("_", "-"))
        if parameter is None:
            raise UsageError(
                f"the configuration {str(path)!r} has {key!r}, which edgeunet run does not take",
                hint=near_match(key, known) + f"it takes: {', '.join(sorted(known))}",
            )
        many = value if isinstance(value, list) else [value]
        if not all(isinstance(one, _SIMPLE) for one in many):
            raise UsageError(
                f"the configuration {str(path)!r} has a value for {key!r} that is no text, number, "
                "true, false, or list of texts",
                hint="write it as on the command line",
            )
        if any("\0" in str(one) for one in many):
            raise UsageError(
                f"the configuration {str(path)!r} has a zero character in {key!r}",
                hint="no name of a file can hold one",
            )
        if isinstance(value, bool) and not getattr(parameter, "is_flag", False):
            raise UsageError(
                f"the configuration {str(path)!r} has true or false for {key!r}, which takes a "
                "text or a number",
                hint="write it as on the command line, a text in quotes",
            )
        takes_several = getattr(parameter, "multiple", False) or parameter.nargs == -1
        values[parameter.name] = many if takes_several else value
    return values


def take_defaults(context: typer.Context, path: Path | None) -> Path | None:
    """Let a configuration file stand for what the command line leaves out."""
    if path is not None and not context.resilient_parsing:
        context.default_map = defaults_of(path, read_config(path), context.command.params)
    return path
