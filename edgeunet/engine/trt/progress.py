"""Progress of a build, from TensorRT's progress monitor (10.0 and later) or from its log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from edgeunet.engine.trt.log_lines import step_in
from edgeunet.engine.trt.provider import LogLine, Provider


@dataclass(frozen=True)
class Progress:
    """One step of a build.

    doing: what the build does now.
    done, total: finished steps and all steps of it; 0 when they are unknown.
    """

    doing: str
    done: int = 0
    total: int = 0


Report = Callable[[Progress], None]


class Phases:
    """Reports TensorRT's nested phases as single lines: the innermost phase and its steps.

    interrupted: Ctrl-C was pressed during a phase. An exception that leaves a callback would end
    the process inside TensorRT, so it is only noted, and ``step`` asks the build to stop.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._steps: dict[str, int] = {}
        self.interrupted = False

    def start(self, name: str, steps: int) -> None:
        self._steps[name] = steps
        self._tell(name, 0)

    def step(self, name: str, index: int) -> bool:
        """Report a finished step, and return whether the build may go on."""
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
    """Attach a progress monitor to a builder config; return None where TensorRT has none.

    The caller must keep the returned object while the config is used.
    """
    if not provider.offers("IBuilderConfig.progress_monitor"):
        return None
    phases = Phases(report)
    config.progress_monitor = _monitor(provider.module.IProgressMonitor, phases)
    return phases


def log_report(report: Report) -> Callable[[LogLine], None]:
    """Return a function that reports the steps of a build from its log lines."""

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
