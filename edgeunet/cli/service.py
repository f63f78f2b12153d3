"""``edgeunet service``: run a configuration as a systemd service."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeunet.cli import console
from edgeunet.errors import UsageError, near_match

if TYPE_CHECKING:
    from edgeunet.bundle.manifest import Manifest

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
    from edgeunet.stream.service.systemd_unit import is_for, unit_of

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
    if target.exists() and not is_for(target.read_text("utf-8", "replace"), service.config):
        raise UsageError(
            f"{target} is there, and runs something else than {service.config}",
            hint="give this one a name of its own with --name",
        )
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
    reader = typer.Typer()
    reader.command()(run.command)
    command = typer.main.get_command(reader)
    given = defaults_of(config, read_config(config), command.params)
    for key in ("source", "bundle"):
        if key not in given:
            raise UsageError(
                f"the configuration {str(config)!r} names no {key}",
                hint=f'add a line: {key} = "..."',
            )
    # As the run itself will read it.
    words = command.make_context("run", ["--config", str(config)]).params
    check_source(words["source"])
    bundle = open_bundle(config.parent / words["bundle"])
    _check(words, bundle.manifest)
    name = name or f"edgeunet-{_NO_NAME.sub('-', config.stem)}"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a unit", hint="use --name with letters, digits, - and _"
        )
    return Service(
        name=name,
        python=Path(sys.executable),
        config=config,
        source=without_passwords(words["source"]),
        user=_user(user),
        outputs=_outputs(config.parent, words),
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


def _check(words: dict[str, Any], manifest: Manifest) -> None:
    """Raise UsageError for what a run would refuse before it opens anything.

    words: the options of the run, by the names of its parameters.
    """
    from edgeunet.media.live.reconnecting import Patience, parse_reconnect
    from edgeunet.media.sinks.recording_options import read_recording
    from edgeunet.stream.class_events import EventWatcher, read_rule
    from edgeunet.stream.compose import choose_view
    from edgeunet.stream.event_posts import check_post_address
    from edgeunet.stream.run_options import RunOptions

    for option in ("json", "jobs", "dask"):
        if words[option]:
            raise UsageError(
                f"a service cannot have {option!r}: it runs one source, and prints JSON lines",
                hint=f"leave {option} out of the configuration",
            )
    rules = tuple(map(read_rule, words["event"] or ()))
    if rules:
        EventWatcher(rules, manifest)
    if words["event_post"] is not None:
        check_post_address(words["event_post"])
    choose_view(words["view"], manifest)
    RunOptions(
        words["source"],
        words["bundle"],
        tuple(words["sinks"] or ()),
        noise_sigma=words["noise"],
        strength=words["strength"],
        frame_limit=words["frames"],
        patience=Patience(words["timeout"], parse_reconnect(words["reconnect"])),
        recording=read_recording(words["segment"], words["keep"], words["least_free"]),
    ).check()


def _outputs(beside: Path, words: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the folders that a run of a configuration writes to, none twice.

    beside: the folder of the configuration. words: the options, by the names of the parameters.
    """
    from edgeunet.media.sinks import is_folder, is_path

    found: list[Path] = []
    for text in filter(is_path, words["sinks"] or ()):
        path = beside / text
        found.append(path if is_folder(text) else path.parent)
    if words["event_images"] is not None:
        found.append(beside / words["event_images"])
    if words["resume"] is not None:
        found.append((beside / words["resume"]).parent)
    return tuple(dict.fromkeys(found))
