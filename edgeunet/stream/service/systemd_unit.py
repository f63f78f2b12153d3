"""The systemd unit that runs a configuration as a service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeunet.bundle.manifest import Manifest
from edgeunet.errors import UsageError
from edgeunet.names import is_utf8, shown
from edgeunet.units import MIB

WATCHDOG_S = 60
_PYTHON_BYTES = 512 * MIB
"""An allowance for Python, the engine's library, codecs and the preview; not measured."""

_QUEUED_FRAMES = 16
"""Frames that may be in memory at once: in decoders, between threads, and in encoders."""


@dataclass(frozen=True)
class Service:
    """What a unit is made of.

    name: of the unit, without ``.service``.
    python: the interpreter.
    config: the absolute path of the configuration.
    source: what is read, without passwords.
    user: who it runs as; never root.
    outputs: folders that it may write to.
    limit_bytes: the most memory that it may take.
    """

    name: str
    python: Path
    config: Path
    source: str
    user: str
    outputs: tuple[Path, ...]
    limit_bytes: int


def memory_limit_bytes(manifest: Manifest) -> int:
    """Return the most memory that a run of a bundle should take, in bytes.

    It is what the plan predicts for a frame, twice the weights, because they are there as a file
    and packed by the engine, the frames under way, and an allowance for the rest. On a Jetson the
    GPU's memory is not counted by systemd, so the limit is never too small there.
    """
    plan = manifest.plan
    frame_bytes = plan.predicted_bytes if plan is not None else manifest.memory.arena_bytes
    queued_bytes = _QUEUED_FRAMES * 3 * manifest.height * manifest.width
    weight_bytes = 2 * manifest.memory.weight_bytes
    total = frame_bytes + manifest.memory.io_bytes + weight_bytes + queued_bytes + _PYTHON_BYTES
    return -(-total // MIB) * MIB


def unit_of(service: Service) -> str:
    """Return the text of a unit.

    Type=notify: it counts as started with its first frame. It is restarted whatever happens, but
    for a configuration that is wrong (exit code 2), which a restart does not mend. Before every
    start its disks are mounted, and folders for its outputs are made where there are none.
    Raises UsageError for a name that a unit cannot hold: no UTF-8, or more than one line.
    """
    for path in (service.python, service.config, *service.outputs):
        _check(str(path))
    writable = " ".join(_quoted(str(path)) for path in service.outputs)
    # With full rights, because only what is there can be made writable for the service.
    make = f'for f; do [ -d "$f" ] || install -d -o {service.user} "$f"; done'
    makes = f"ExecStartPre=+/bin/sh -c '{make}' sh {writable}".replace("$", "$$")
    lines = [
        "[Unit]",
        f"Description=edgeunet: {_escaped(' '.join(service.source.split()))}",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=0",
        *([f"RequiresMountsFor={writable}"] if writable else []),
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        *([makes] if writable else []),
        f"ExecStart={_quoted(str(service.python))} -m edgeunet run "
        f"{_config_words(service.config)} --json-lines",
        f"WorkingDirectory={_escaped(str(service.config.parent))}",
        f"User={service.user}",
        "SupplementaryGroups=video",
        "Environment=PYTHONUNBUFFERED=1",
        f"EnvironmentFile=-{_escaped(str(service.config.with_suffix('.env')))}",
        "Restart=always",
        "RestartSec=5",
        "RestartPreventExitStatus=2",
        # What a run ends with after SIGTERM, which is how systemd stops it.
        "SuccessExitStatus=143",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=30",
        f"WatchdogSec={WATCHDOG_S}",
        # So that recordings are completed; SIGABRT would write the memory to the disk instead.
        "WatchdogSignal=SIGTERM",
        f"MemoryMax={service.limit_bytes}",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        "PrivateTmp=yes",
        *([f"ReadWritePaths={writable}"] if writable else []),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def is_for(unit: str, config: Path) -> bool:
    """Return whether the text of a unit runs a configuration. config: its absolute path."""
    return f" -m edgeunet run {_config_words(config)} " in unit


def _config_words(config: Path) -> str:
    # Only in a command is a dollar sign the beginning of a variable.
    return f"--config {_quoted(str(config)).replace('$', '$$')}"


def _check(text: str) -> None:
    if not is_utf8(text) or "\n" in text or "\r" in text:
        raise UsageError(
            f"a systemd unit cannot hold the name {shown(text)!r}: a unit is UTF-8, and a name "
            "in it is one line",
            hint="rename the file or its folder",
        )


def _quoted(text: str) -> str:
    """Return a word for a unit: in quotes, with what systemd would replace escaped."""
    return '"' + _escaped(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
