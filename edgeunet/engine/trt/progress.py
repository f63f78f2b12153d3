"""How far a build is: told by TensorRT's progress monitor from 10.0, read from its log before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from edgeunet.engine.trt.log_lines import step_in
from edgeunet.engine.trt.provider import LogLine, Provider


@dataclass(frozen=True)
class Progress:
    """What a build is doing; done and total are steps of it, 0 where they are not known."""

    doing: str
    done: int = 0
    total: int = 0


Report = Callable[[Progress], None]


class Phases:
    """Turns TensorRT's nested phases into one line: the innermost one's name and steps.

    interrupted: Ctrl-C came during a phase. An exception that leaves a callback would end the
    process from within TensorRT, so it is kept for later, and the build asked to stop.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._steps: dict[str, int] = {}
        self.interrupted = False

    def start(self, name: str, steps: int) -> None:
        self._steps[name] = steps
        self._tell(name, 0)

    def step(self, name: str, index: int) -> bool:
        """Return whether the build is to go on."""
        self._tell(name, index + 1)
        return not self.interrupted

    def finish(self, name: str) -> None:
        self._steps.pop(name, None)

    def _tell(self, name: str, done: int) -> None:
        try:
            self._report(Progress(name, done, self._steps.get(name, 0)))
        except KeyboardInterrupt:
            self.interrupted = True


def watch(config: Any, provider: Provider, report: Report) -> Phases | None:
    """Have a builder config tell its progress; None where it cannot, and the log must do.

    The caller keeps what is returned for as long as the config is used.
    """
    if not provider.offers("IBuilderConfig.progress_monitor"):
        return None
    phases = Phases(report)
    config.progress_monitor = _monitor(provider.module.IProgressMonitor, phases)
    return phases


def log_report(report: Report) -> Callable[[LogLine], None]:
    """Return what reads the progress of a build from its log."""

    def read(line: LogLine) -> None:
        step = step_in(line.text)
        if step is not None:
            report(Progress(step))

    return read


def _monitor(interface: Any, phases: Phases) -> Any:
    base = cast(type[Any], interface)

    # The base class exists only once TensorRT is imported.
    class Monitor(base):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            phases.start(name, steps)

        def step_complete(self, name: str, index: int) -> bool:
            return phases.step(name, index)

        def phase_finish(self, name: str) -> None:
            phases.finish(name)

    return Monitor()
