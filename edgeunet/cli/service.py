"""``edgeunet service``: run a configuration as a systemd service."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeunet.cli import console
from edgeunet.errors import UsageError, near_match

_ACTIONS = ("install", "show")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def command(
    action: Annotated[
        str,
        typer.Argument(
            metavar="install|show",
            help="install writes the unit; show prints it and writes nothing.",
        ),
    ],
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            metavar="FILE",
            help="A TOML file with the source, the bundle, and other options of edgeunet run.",
        ),
    ],
    user: Annotated[
        str | None,
        typer.Option(
            "--user", metavar="NAME", help="Who it runs as, never root; default: who calls this."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the unit; default: edgeunet-FILE."),
    ] = None,
    folder: Annotated[
        Path,
        typer.Option("--units", metavar="DIR", help="Where systemd looks for units."),
    ] = Path("/etc/systemd/system"),
) -> None:
    """Write a systemd unit that keeps a configuration running."""
    from edgeunet.files import replacing_file
    from edgeunet.stream.service.systemd_unit import unit_of

    if action not in _ACTIONS:
        raise UsageError(
            f"edgeunet service does not know {action!r}",
            hint=near_match(action, _ACTIONS) + f"use one of: {', '.join(_ACTIONS)}",
        )
    service = _service(config, user, name)
    text = unit_of(service)
    if action == "show":
        sys.stdout.write(text)
        return
    target = folder / f"{service.name}.service"
    with replacing_file(target) as beside:
        beside.write_text(text, encoding="utf-8")
    console.note(
        f"wrote {target}; start it: systemctl daemon-reload && systemctl enable --now "
        f"{service.name}"
    )


def _service(config: Path, user: str | None, name: str | None) -> Any:
    """Read and check a configuration as a run would, and return what its unit is made of."""
    from edgeunet.bundle import open_bundle
    from edgeunet.cli import run
    from edgeunet.cli.config_file import defaults_of, read_config
    from edgeunet.media.live.addresses import without_passwords
    from edgeunet.media.sources import check_source
    from edgeunet.stream.service.systemd_unit import Service, memory_limit_bytes

    config = config.absolute()
    table = read_config(config)
    parameters = list(inspect.signature(run.command).parameters)
    values = defaults_of(config, table, parameters)
    for key in ("source", "bundle"):
        if not isinstance(values.get(key), str):
            raise UsageError(
                f"the configuration {str(config)!r} names no {key}",
                hint=f'add a line: {key} = "..."',
            )
    check_source(values["source"])
    bundle = open_bundle(config.parent / values["bundle"])
    name = name or f"edgeunet-{_NO_NAME.sub('-', config.stem)}"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a unit", hint="use --name with letters, digits, - and _"
        )
    return Service(
        name=name,
        python=Path(sys.executable),
        config=config,
        source=without_passwords(values["source"]),
        user=_user(user),
        outputs=_outputs(config.parent, values),
        limit_bytes=memory_limit_bytes(bundle.manifest),
    )


def _user(named: str | None) -> str:
    """Return who a service runs as. Raises UsageError for root, and for nobody that exists."""
    import getpass
    import pwd

    user = named or os.environ.get("SUDO_USER") or getpass.getuser()
    try:
        number = pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise UsageError(
            f"there is no user {user!r}", hint="make one: useradd --system edgeunet"
        ) from error
    if number == 0:
        raise UsageError(
            "a service that reads the network does not run as root",
            hint="name another user with --user; useradd --system edgeunet makes one",
        )
    return user


def _outputs(beside: Path, values: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the folders that a run of a configuration writes to, none twice."""
    sinks = values.get("sinks", [])
    found: list[Path] = []
    for text in [sinks] if isinstance(sinks, str) else sinks:
        if "://" in text or text in ("none", "display"):
            continue
        path = beside / text
        found.append(path if text.endswith("/") or not path.suffix else path.parent)
    if "event_images" in values:
        found.append(beside / values["event_images"])
    if "resume" in values:
        found.append((beside / values["resume"]).parent)
    return tuple(dict.fromkeys(found))
