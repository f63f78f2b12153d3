"""Processors that nobody has here: the commands that run this project's code on them.

What they need is put into ``.emulated/`` by ``python -m tests.emulated.setting_up``.

qemu emulates ARM64 and an AVX2 processor instruction by instruction. It knows no AVX-512. The other
x86 classes run natively, but onnxruntime is told that features are missing: it picks its kernels by
CPUID alone. That needs a processor which has what the class has.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeunet.processors import (
    ARM64,
    ARM64_FP16_DOT,
    AVX2,
    AVX2_VNNI,
    AVX512,
    AVX512_VNNI,
    CPUINFO,
    X86_64,
    ProcessorClass,
)

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".emulated"
DEBIAN = CACHE / "arm64"
ARM_PYTHON = "3.13"
# There once everything is set up.
SET_UP = CACHE / "done/masked"
_TEXTS = ROOT / "tests" / "cpuinfo"

# leaf:subleaf:register:mask, as masked_cpuid.c reads them.
_NO_VNNI = "7:0:c:00000800 7:1:a:00000030 7:1:d:00000010 7:0:d:03400000"
_NO_AVX512 = "7:0:b:dc230000 7:0:c:00005842 7:0:d:03c0010c 7:1:a:00000020 7:1:d:00000010"
_NO_AVX_VNNI = "7:1:a:00000010"
_NO_AVX2 = "7:0:b:00000020 1:0:c:00001000"
_OLD_CPUINFO = "flags : sse4_1 sse4_2 avx"

Ask = Callable[[Mapping[str, object]], dict[str, Any]]


@dataclass(frozen=True)
class Machine:
    """A processor to run on: its class, what is put before a command, and its environment.

    python: the Python that runs there. needs: features that this computer's processor must have.
    cpuinfo: the text that stands in for ``/proc/cpuinfo`` where that would say this computer's.
    """

    name: str
    kind: ProcessorClass
    prefix: tuple[str, ...] = ()
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    cpuinfo: str | None = None

    def run(
        self, module: str, *arguments: str, timeout_seconds: float, folder: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m module`` there, in a folder, whose modules are found first."""
        return subprocess.run(
            [*self.prefix, self.python, "-m", module, *arguments],
            cwd=folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    @contextlib.contextmanager
    def serving(self, module: str, *arguments: str) -> Iterator[Ask]:
        """Run ``python -m module`` there for as long as it lasts; it answers order after order.

        An order and its answer are a line of JSON each. Raises RuntimeError when it ends instead.
        """
        process = subprocess.Popen(
            [*self.prefix, self.python, "-m", module, *arguments],
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def ask(order: Mapping[str, object]) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps(order), file=process.stdin, flush=True)
            answer: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
            if not answer:
                raise RuntimeError(f"{self.name}: {module} ended with {process.wait()}")
            return answer

        with process:
            try:
                yield ask
            finally:
                process.terminate()

    def lacking(self) -> str | None:
        """Return in words what keeps it from running here; None if it can."""
        if not SET_UP.is_file():
            return "not everything is fetched: make emulated"
        if platform.machine() != "x86_64":
            return "emulation starts from x86-64"
        lacking = self.needs - _features_here()
        return f"this processor has no {', '.join(sorted(lacking))}" if lacking else None


@functools.cache
def _features_here() -> frozenset[str]:
    match = re.search(r"^flags\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    return frozenset(match.group(1).split() if match else ())


def _recorded(name: str) -> str:
    return (_TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def _masked(
    name: str, kind: ProcessorClass, cleared: str, needs: Sequence[str], text: str
) -> Machine:
    return Machine(
        name,
        kind,
        environment={
            "PYTHONPATH": f"{CACHE / 'masked'}:{ROOT}",
            "LD_PRELOAD": str(CACHE / "masked_cpuid.so"),
            "MASKED_CPUID": cleared,
        },
        needs=frozenset(needs),
        cpuinfo=text,
    )


def _arm(model: str, kind: ProcessorClass) -> Machine:
    """Return an ARM64 machine. ``sys.executable`` there is a script that starts another qemu."""
    script = str(script_of(model))
    return Machine(
        model,
        kind,
        (str(CACHE / "qemu/usr/bin/qemu-aarch64"), "-cpu", model, "-L", str(DEBIAN), "-0", script),
        python=str(DEBIAN / f"usr/bin/python{ARM_PYTHON}"),
        environment={"PYTHONPATH": f"{CACHE / 'arm64-packages'}:{ROOT}"},
    )


def script_of(model: str) -> Path:
    return DEBIAN / f"usr/bin/python-{model}"


_AVX512_FLAGS = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
MACHINES = (
    Machine("here", AVX512_VNNI, needs=frozenset((*_AVX512_FLAGS, "avx512_vnni"))),
    _masked("avx512", AVX512, _NO_VNNI, _AVX512_FLAGS, _recorded("xeon-8171m")),
    _masked("avx2-vnni", AVX2_VNNI, _NO_AVX512, ("avx2", "avx_vnni"), _recorded("core-i7-14650hx")),
    _masked("avx2", AVX2, f"{_NO_AVX512} {_NO_AVX_VNNI}", ("avx2",), _recorded("xeon-e5-2686")),
    _masked("x86-64", X86_64, f"{_NO_AVX512} {_NO_AVX_VNNI} {_NO_AVX2}", (), _OLD_CPUINFO),
    Machine(
        "haswell",
        AVX2,
        (str(CACHE / "qemu/usr/bin/qemu-x86_64"), "-cpu", "Haswell-noTSX"),
        environment={"PYTHONPATH": str(ROOT)},
        cpuinfo=_recorded("xeon-e5-2686"),
    ),
    _arm("cortex-a76", ARM64_FP16_DOT),
    _arm("cortex-a72", ARM64),
)


def machine(name: str) -> Machine:
    """Return a machine by its name; raises KeyError."""
    return {one.name: one for one in MACHINES}[name]
