"""Imports TensorRT: ``tensorrt``, or ``tensorrt_rtx`` on a desktop. No other file imports it.

A provider knows its version and what that version has (``calls.py``), so that no other file uses
an attribute that may be missing.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from edgeunet.engine.trt.calls import OLDEST, VARYING
from edgeunet.errors import EngineError, MissingPackageError

ProviderName = Literal["tensorrt", "tensorrt-rtx"]
PROVIDERS: tuple[ProviderName, ...] = ("tensorrt", "tensorrt-rtx")

_MODULES: dict[ProviderName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}

_FROM_JETPACK = (
    "on a Jetson it comes with JetPack: sudo apt install tensorrt python3-libnvinfer-dev, and make "
    "the environment with python3 -m venv --system-site-packages"
)

# TensorRT's numbers for severities.
ERROR = 1
WARNING = 2
INFO = 3


@dataclass(frozen=True)
class Provider:
    """An imported TensorRT.

    name: which of the two packages.
    module: the imported module.
    version: numbers of the version, for comparisons.
    version_text: the version as the package writes it.
    """

    name: ProviderName
    module: Any
    version: tuple[int, ...]
    version_text: str

    @property
    def rtx(self) -> bool:
        return self.name == "tensorrt-rtx"

    @property
    def title(self) -> str:
        """Its name and version for messages."""
        return f"{title_of(self.name)} {self.version_text}"

    def offers(self, attribute: str) -> bool:
        """Return whether this version has ``Class.attribute``, a key of ``calls.VARYING``."""
        return VARYING[attribute].covers(self.version, rtx=self.rtx)

    @property
    def strongly_typed(self) -> bool:
        """Whether types come from the graph; otherwise precisions are allowed by flags."""
        return self.offers("NetworkDefinitionCreationFlag.STRONGLY_TYPED")

    @property
    def has_user_managed_memory(self) -> bool:
        """Whether an allocation strategy leaves a context's memory to the caller."""
        return self.offers("ExecutionContextAllocationStrategy.USER_MANAGED")

    @property
    def has_sized_device_memory(self) -> bool:
        """Whether a context is told the size of its memory and checks it."""
        return self.offers("IExecutionContext.set_device_memory")

    @property
    def has_compute_capabilities(self) -> bool:
        """Whether plans are built for named compute capabilities, without a GPU."""
        return self.offers("ComputeCapability")


def title_of(name: str) -> str:
    """Return a provider's name for messages."""
    return {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}.get(name, name)


def load_provider(name: ProviderName | None = None) -> Provider:
    """Import a TensorRT.

    name: the package; None takes ``tensorrt`` if it is installed, else ``tensorrt-rtx``.
    Raises EngineError when it is missing, cannot be loaded or is too old; MissingPackageError when
    ``tensorrt-rtx`` was named and is not installed.
    """
    if name is None:
        found = [known for known in PROVIDERS if is_installed(known)]
        if not found:
            raise EngineError(
                "neither tensorrt nor tensorrt-rtx is installed",
                hint=f'{_FROM_JETPACK}; on a desktop: pip install "edgeunet[rtx]"',
            )
        name = found[0]
    elif not is_installed(name):
        if name == "tensorrt-rtx":
            raise MissingPackageError(name, purpose="TensorRT-RTX", extra="rtx")
        raise EngineError("tensorrt is not installed", hint=_FROM_JETPACK)
    return provider_of(name, _imported(name))


def provider_of(name: ProviderName, module: Any) -> Provider:
    """Return the provider of an imported module. Raises EngineError for a version before 8.6."""
    text = str(module.__version__)
    version = _version_of(text)
    if name == "tensorrt" and version < OLDEST:
        raise EngineError(
            f"TensorRT {text} is older than {'.'.join(map(str, OLDEST))}, the first one that is "
            "supported from Python",
            hint="build with its trtexec; the commands: "
            f"edgeunet build BUNDLE --trtexec --for-version {text}",
        )
    return Provider(name, module, version, text)


def is_installed(name: ProviderName) -> bool:
    """Return whether a TensorRT is installed. It is not imported."""
    try:
        return importlib.util.find_spec(_MODULES[name]) is not None
    except ValueError:  # the module is in sys.modules and has no spec
        return True


def _imported(name: ProviderName) -> Any:
    try:
        # The names are spelled out for tests/house/test_owners.py.
        if name == "tensorrt":
            return importlib.import_module("tensorrt")
        return importlib.import_module("tensorrt_rtx")
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        library = re.search(r"[\w.+-]*\.so[\w.]*", reason)
        lacks = f"the library {library.group()}" if library else "a part of it"
        raise EngineError(
            f"{name} is installed but cannot be loaded, {lacks} is missing or unfit: {reason}",
            hint=_FROM_JETPACK
            if name == "tensorrt"
            else 'install it again: pip install --force-reinstall "edgeunet[rtx]"',
        ) from error


def _version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:4])


@dataclass(frozen=True)
class LogLine:
    """One line of TensorRT's log.

    severity: 0 internal error, 1 error, 2 warning, 3 information, 4 verbose.
    """

    severity: int
    text: str


class LogLines:
    """The lines that TensorRT has logged.

    on_line: called with every line as it comes, or None.
    interrupted: Ctrl-C was pressed while ``on_line`` ran.
    """

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.on_line: Callable[[LogLine], None] | None = None
        self.interrupted = False

    def add(self, severity: int, text: str) -> None:
        line = LogLine(severity, text)
        self.lines.append(line)
        if self.on_line is None:
            return
        try:
            self.on_line(line)
        except KeyboardInterrupt:
            # An exception that leaves a callback would end the process inside TensorRT.
            self.interrupted = True

    def clear(self) -> None:
        self.lines.clear()
        self.interrupted = False

    @property
    def errors(self) -> list[str]:
        return [line.text for line in self.lines if line.severity <= ERROR]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True)
class TensorrtLogger:
    """A logger for TensorRT.

    native: the ILogger that TensorRT is given.
    log: the lines it has received.
    """

    native: Any
    log: LogLines


_loggers: dict[int, TensorrtLogger] = {}


def make_logger(provider: Provider) -> TensorrtLogger:
    """Return the process's logger for a provider, without earlier lines.

    TensorRT keeps the first logger of a process and warns about every other, so there is one.
    """
    logger = _loggers.get(id(provider.module))
    if logger is None:
        lines = LogLines()
        logger = _loggers[id(provider.module)] = TensorrtLogger(_native(provider, lines), lines)
    logger.log.clear()
    logger.log.on_line = None
    return logger


def _native(provider: Provider, lines: LogLines) -> Any:
    module = provider.module
    base = cast(type[Any], module.ILogger)

    # The base class exists only once TensorRT is imported.
    class Collector(base):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            lines.add(int(severity), message)

    return Collector()
