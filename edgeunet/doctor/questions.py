"""Loads heavy packages, each in a child process.

A library that does not fit the machine may end the process that loads it. So the doctor's own
process loads none, and the way a child ends is an answer too.
"""

from __future__ import annotations

import enum
import json
import signal
from dataclasses import dataclass, field
from typing import Any

from edgeunet.doctor.machine import Machine

_TIMEOUT_S = 60.0
_MARK = "edgeunet-answer:"

# Package -> body of a function that the child runs. It returns a dictionary for JSON.
_BODIES = {
    "tensorrt": """
import tensorrt
return {"version": tensorrt.__version__}
""",
    "tensorrt_rtx": """
import tensorrt_rtx
return {"version": tensorrt_rtx.__version__}
""",
    "onnxruntime": """
import os
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime
return {
    "version": onnxruntime.__version__,
    "providers": onnxruntime.get_available_providers(),
}
""",
    "cv2": """
import cv2
lines = [line.strip() for line in cv2.getBuildInformation().splitlines()]
streamer = [line.partition(":")[2].strip() for line in lines if line.startswith("GStreamer:")]
return {"version": cv2.__version__, "gstreamer": streamer[0] if streamer else "NO"}
""",
    "pycuda": """
import pycuda
import pycuda.driver
return {"version": pycuda.VERSION_TEXT}
""",
    "cuda": """
try:
    from cuda.bindings import driver
    from cuda.bindings import __version__ as version
except ImportError:
    from cuda import cuda as driver
    from cuda import __version__ as version
return {"version": version}
""",
    "driver": """
import ctypes
library = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    code = getattr(library, name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        library.cuGetErrorName(code, ctypes.byref(text))
        raise RuntimeError(name + ": " + (text.value or str(code).encode()).decode())
version, count = ctypes.c_int(), ctypes.c_int()
call("cuDriverGetVersion", ctypes.byref(version))
call("cuInit", 0)
call("cuDeviceGetCount", ctypes.byref(count))
devices = []
for ordinal in range(count.value):
    device, name, total = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    call("cuDeviceGet", ctypes.byref(device), ordinal)
    call("cuDeviceGetName", name, 256, device)
    call("cuDeviceTotalMem_v2", ctypes.byref(total), device)
    values = []
    for attribute in (75, 76, 18):  # compute capability, major and minor; integrated
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        values.append(value.value)
    devices.append({
        "name": name.value.decode(errors="replace"),
        "compute_capability": "%d.%d" % (values[0], values[1]),
        "integrated": bool(values[2]),
        "memory_bytes": total.value,
    })
return {"cuda": "%d.%d" % (version.value // 1000, version.value % 1000 // 10), "devices": devices}
""",
}

_CHILD = """
import json, sys
def answer():
{body}
try:
    result = {{"facts": answer()}}
except ModuleNotFoundError as error:
    absent = (error.name or "").partition(".")[0] == sys.argv[1]
    result = {{"absent": absent, "reason": str(error)}}
except BaseException as error:
    result = {{"absent": False, "reason": "%s: %s" % (type(error).__name__, error)}}
print("\\n{mark}" + json.dumps(result))
"""


class State(str, enum.Enum):
    """Whether a package is installed and can be loaded."""

    PRESENT = "present"
    ABSENT = "absent"
    BROKEN = "broken"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Answer:
    """The result of loading one package.

    facts: what the child found out, by name.
    reason: one line about why the package is not present.
    """

    state: State
    facts: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def present(self) -> bool:
        return self.state is State.PRESENT

    @property
    def broken(self) -> bool:
        return self.state is State.BROKEN

    @property
    def version(self) -> str:
        return str(self.facts.get("version", "of unknown version"))


def ask(machine: Machine, package: str) -> Answer:
    """Load a package in a child process of the same Python. ``driver`` is the CUDA driver."""
    body = "\n".join(f"    {line}" for line in _BODIES[package].strip().splitlines())
    code = _CHILD.format(body=body, mark=_MARK)
    outcome = machine.run((machine.python.executable, "-c", code, package), _TIMEOUT_S)
    result = _result_in(outcome.out)
    if result is not None:
        facts = result.get("facts")
        if isinstance(facts, dict):
            return Answer(State.PRESENT, facts)
        # One of NumPy's error messages holds a traceback of many lines.
        reason = " ".join(str(result.get("reason", "")).split())
        state = State.ABSENT if result.get("absent") is True else State.BROKEN
        return Answer(state, reason=reason + _hint_of_numpy(outcome.err))
    if outcome.code is not None and outcome.code < 0:
        return Answer(State.BROKEN, reason=f"loading it ends Python with {_signal(-outcome.code)}")
    last = (outcome.err.strip().splitlines() or ["it said nothing"])[-1]
    return Answer(State.BROKEN, reason=last)


def _result_in(out: str) -> dict[str, Any] | None:
    for line in reversed(out.splitlines()):
        if line.startswith(_MARK):
            try:
                result = json.loads(line.removeprefix(_MARK))
            except ValueError:
                return None
            return result if isinstance(result, dict) else None
    return None


def _hint_of_numpy(err: str) -> str:
    """Return what NumPy prints only to stderr: that the package was compiled for NumPy 1."""
    return " (compiled for NumPy 1)" if "compiled using NumPy 1.x" in err else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
