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


def defaults_of(path: Path, table: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the values of a table by the names of a command's parameters.

    names: those of the parameters. In the file they may have hyphens, as on the command line.
    Raises UsageError for a key that the command does not take, and for a value that is a table.
    """
    known = {name.replace("_", "-") for name in names if name != "config"}
    values = {}
    for key, value in table.items():
        if key.replace("_", "-") not in known:
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
        values[key.replace("-", "_")] = value
    return values


def take_defaults(context: typer.Context, path: Path | None) -> Path | None:
    """Let a configuration file stand for what the command line leaves out."""
    if path is not None and not context.resilient_parsing:
        names = [parameter.name for parameter in context.command.params if parameter.name]
        context.default_map = defaults_of(path, read_config(path), names)
    return path
