"""Measures the memory an engine takes: the process's high-water mark around frames (Linux).

Only the process's own memory counts (``process_memory.py``). Every measurement runs in a new
process, because memory that the process used and freed before would hide what the engine needs. The
child process answers with one JSON line.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeunet.bundle import Bundle, open_bundle
from edgeunet.bundle.tensors import state_specs
from edgeunet.engine import open_session
from edgeunet.errors import EdgeUnetError, EngineError, UsageError
from edgeunet.run.device_figures import DeviceMeasurement, open_baseline
from edgeunet.run.executor import Executor
from edgeunet.run.process_memory import ProcessMemory, process_memory
from edgeunet.specs import Engine

_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER_MARK = "5"
# An engine sets up its memory in the first frame. From the second on only stacks grow, where there
# are more threads than cores: a thread that comes too late for its part of one frame does the next.
FEWEST_FRAMES = 3


@dataclass(frozen=True)
class Measurement:
    """Memory and time of each frame, on top of the loaded engine.

    frames_bytes: high-water mark of the process's own memory during the frame, minus what it had
        after loading. Weights and inputs are loaded before and do not count. Outputs are first
        written by a frame and do count. So does what a network remembers on the CPU, which is
        written when it is loaded.
    code_bytes: pages of files that came during the frames, which are not in these figures.
    frames_seconds: duration of each frame.
    engine: name of the engine.
    device: GPU memory, for TensorRT.
    predicted_bytes: of onnxruntime, on this processor with these threads and workers; None where
        that is not known.
    """

    engine: str
    frames_bytes: tuple[int, ...]
    frames_seconds: tuple[float, ...]
    device: DeviceMeasurement | None = None
    predicted_bytes: int | None = None
    code_bytes: int = 0

    @property
    def first_frame_bytes(self) -> int:
        return self.frames_bytes[0]

    @property
    def steady_bytes(self) -> int:
        """The largest figure of all frames after the first."""
        return max(self.frames_bytes[1:])

    @property
    def measured_bytes(self) -> int:
        """The largest figure of all frames."""
        return max(self.frames_bytes)

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Measurement:
        """Read the JSON object that a process of ``ask`` answered."""
        device = answer.get("device")
        return cls(
            answer["engine"],
            tuple(answer["frames_bytes"]),
            tuple(answer["frames_seconds"]),
            None if device is None else DeviceMeasurement.read(device),
            answer.get("predicted_bytes"),
            answer.get("code_bytes", 0),
        )


def measure(
    target: Path,
    *,
    engine: str = "auto",
    frames: int = FEWEST_FRAMES,
    threads: int | None = None,
    workers: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Measurement:
    """Measure a bundle, or an ONNX file on random inputs, in a new process.

    target: path of the bundle or file.
    frames: number of frames, ``FEWEST_FRAMES`` or more.
    threads: CPU threads; None takes every core. workers: as for ``Executor``, of a bundle.
    environment: variables for the new process, on top of this one's.
    Raises EngineError when the system cannot measure or the engine fails, and UsageError for
    threads or workers that the target cannot have.
    """
    if frames < FEWEST_FRAMES:
        raise EngineError(
            f"{frames} frames are too few to see the steady state",
            hint=f"measure {FEWEST_FRAMES} or more",
        )
    _check_system()
    order = {
        "target": str(target),
        "engine": engine,
        "frames": frames,
        "threads": threads,
        "workers": workers,
    }
    return Measurement.read(ask("edgeunet.run.measured", order, environment=environment))


def ask(
    module: str,
    order: Mapping[str, object],
    *,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> dict[str, Any]:
    """Run ``python -m module ORDER`` in a new process and return the JSON object that it prints.

    order: what the module is to do; passed as JSON.
    environment: variables for the new process, on top of this one's.
    timeout_seconds: longest duration; None waits without end.
    Raises EngineError with the process's own message when it fails, UsageError where the process
    was told what cannot be, and EngineError when it takes too long.
    """
    try:
        child = subprocess.run(
            [sys.executable, "-m", module, json.dumps(order)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"the measured process had no answer after {timeout_seconds:g} s",
            hint="measure a smaller --size",
        ) from error
    answer = _answer(child.stdout)
    if child.returncode != 0 or answer is None or "error" in answer:
        raise _failure(child.returncode, answer, child.stderr)
    return answer


def _check_system() -> None:
    if not _CLEAR_REFS.exists() or process_memory() is None:
        raise EngineError(
            f"measuring needs {_CLEAR_REFS}, which this system does not have",
            hint="measure on Linux; the estimated figures need no engine: leave out --measure",
        )


def _answer(text: str) -> dict[str, Any] | None:
    lines = text.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _failure(returncode: int, answer: dict[str, Any] | None, stderr: str) -> EdgeUnetError:
    if answer is not None and "error" in answer:
        kind = UsageError if answer.get("wrong_use") else EngineError
        return kind(answer["error"], hint=answer["hint"])
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return EngineError(
            f"the measured process was ended by {name}",
            hint="it probably ran out of memory; measure a smaller --size",
        )
    last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
    return EngineError(
        f"the measured process failed: {last}", hint="run the graph to see the whole message"
    )


def run_and_measure(
    target: Path,
    engine: str,
    frames: int,
    threads: int | None = None,
    workers: int | None = None,
) -> Measurement:
    """Measure in this process; ``measure`` does it in a new one."""
    if target.is_dir():
        return _measure_bundle(open_bundle(target), engine, frames, threads, workers)
    generator = np.random.default_rng(0)
    with open_session(target, engine, threads=threads) as session:
        feeds = {spec.name: spec.random(generator) for spec in session.inputs}
        return measure_runs(lambda: session.run(feeds), session.engine, frames)


def measure_runs(run: Callable[[], object], engine: str, frames: int) -> Measurement:
    """Measure an engine that is loaded in this process. run: runs one frame."""
    _now()  # what reading takes is taken before
    gc.collect()
    _trim_heap()
    loaded = _now()
    peaks, seconds = [], []
    for _ in range(frames):
        _reset_high_water_mark()
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
        now = _now()
        peaks.append(now.highest_bytes - now.file_bytes - loaded.own_bytes)
    code_bytes = max(0, now.file_bytes - loaded.file_bytes)
    return Measurement(engine, tuple(peaks), tuple(seconds), code_bytes=code_bytes)


def _measure_bundle(
    bundle: Bundle, engine: str, frames: int, threads: int | None, workers: int | None
) -> Measurement:
    generator = np.random.default_rng(0)
    baseline = open_baseline(bundle, engine)
    with contextlib.ExitStack() as stack:
        if baseline is not None:
            stack.callback(baseline.close)
        executor = Executor(bundle, engine, threads=threads, workers=workers)
        stack.callback(executor.close)
        frame = generator.integers(0, 256, (executor.height, executor.width, 3), dtype=np.uint8)
        found = measure_runs(lambda: executor.run(frame), executor.engine, frames)
        found = replace(found, predicted_bytes=executor.predicted_bytes)
        if executor.engine is Engine.ONNXRUNTIME:
            kept_bytes = sum(spec.size_bytes for spec in state_specs(bundle.manifest))
            frames_bytes = tuple(taken + kept_bytes for taken in found.frames_bytes)
            found = replace(found, frames_bytes=frames_bytes)
        if baseline is None or executor.device_use is None:
            return found
        now = _now()
        resident = now.own_bytes + now.file_bytes
        return replace(found, device=baseline.measured(bundle, executor.device_use, resident))


def _trim_heap() -> None:
    """Return freed memory to the system; otherwise frames would reuse it and take no new memory."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # a C library other than glibc
        return


def _reset_high_water_mark() -> None:
    try:
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER_MARK)
    except OSError as error:
        raise EngineError(
            f"{_CLEAR_REFS} cannot be written: {error.strerror}",
            hint="measure where /proc is writable, outside of this container",
        ) from error


def _now() -> ProcessMemory:
    found = process_memory()
    if found is None:
        raise EngineError(
            "the system does not say what this process holds", hint="measure on Linux"
        )
    return found


def _main(order: str) -> int:
    wanted = json.loads(order)
    try:
        found = run_and_measure(
            Path(wanted["target"]),
            wanted["engine"],
            wanted["frames"],
            wanted["threads"],
            wanted["workers"],
        )
    except EdgeUnetError as error:
        wrong_use = isinstance(error, UsageError)
        said = {"error": error.message, "hint": error.hint, "wrong_use": wrong_use}
        sys.stdout.write(json.dumps(said) + "\n")
        return 1
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
