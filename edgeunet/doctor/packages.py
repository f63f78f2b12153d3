"""Examines the packages that this Python can load, and the engines they give."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgeunet.doctor.board import System
from edgeunet.doctor.findings import Finding, note, ok, problem, warning
from edgeunet.doctor.machine import Machine
from edgeunet.doctor.questions import Answer, ask

# The first release with the calls that the builder and the session rely on.
OLDEST_TENSORRT = (8, 6)

# Older versions read only graphs that were exported with --frame float.
_FIRST_WITH_UINT8 = (8, 5)

# The first pycuda that knows CUDA 13.
_PYCUDA_FOR_CUDA_13 = (2025, 1, 2)

_TRTEXEC = "/usr/src/tensorrt/bin/trtexec"
_OPENCV_WHEELS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_TENSORRT_WHEELS = tuple(
    f"tensorrt{cuda}_{part}" for cuda in ("", "_cu12", "_cu13") for part in ("bindings", "libs")
)
_NUMBER = re.compile(r"\d+")
_LIBRARY_VERSION = re.compile(r"libnvinfer\.so\.(\d+\.\d+\.\d+)")
_SYSTEM_PYTHON = re.compile(r"python(\d)\.?(\d*)$")


@dataclass(frozen=True)
class Packages:
    """The answers of all packages that run bundles."""

    tensorrt: Answer
    tensorrt_rtx: Answer
    onnxruntime: Answer
    opencv: Answer
    pycuda: Answer
    cuda_python: Answer

    @property
    def cuda(self) -> bool:
        """Whether a package that calls CUDA can be loaded."""
        return self.pycuda.present or self.cuda_python.present


@dataclass(frozen=True)
class SystemTensorrt:
    """TensorRT as the system's packages installed it.

    version: of its library, or None.
    python: the Python version that its bindings are for, or None.
    folder: the folder that holds the bindings, or None.
    trtexec: the trtexec command is installed.
    """

    version: str | None
    python: tuple[int, int] | None
    folder: Path | None
    trtexec: bool


def ask_packages(machine: Machine) -> Packages:
    """Load every package in a child process and return the answers."""
    return Packages(
        tensorrt=ask(machine, "tensorrt"),
        tensorrt_rtx=ask(machine, "tensorrt_rtx"),
        onnxruntime=ask(machine, "onnxruntime"),
        opencv=ask(machine, "cv2"),
        pycuda=ask(machine, "pycuda"),
        cuda_python=ask(machine, "cuda"),
    )


def engines_of(system: System, packages: Packages) -> tuple[str, ...]:
    """Return the engines that can run a bundle here, the fastest first."""
    tensorrt = packages.tensorrt.present and not _too_old(packages.tensorrt.version)
    by_tensorrt = (tensorrt or packages.tensorrt_rtx.present) and packages.cuda
    engines = ["tensorrt"] if by_tensorrt and system.devices else []
    return (*engines, *(["onnxruntime"] if packages.onnxruntime.present else []))


def findings_of_packages(machine: Machine, system: System, packages: Packages) -> list[Finding]:
    """Return findings about Python and its packages."""
    wants_gpu = system.tegra or bool(system.devices)
    found = [_python(machine, system), _tensorrt(machine, system, packages)]
    # With bindings for a Python that is too old, a package for CUDA would not help.
    if wants_gpu and not system.python_too_old:
        found.append(_cuda_for_python(system, packages))
    found += [_onnxruntime(packages.onnxruntime), _opencv(machine, system, packages.opencv)]
    found.append(_torch(machine))
    return found


def _python(machine: Machine, system: System) -> Finding:
    where = f" in {machine.python.prefix}" if machine.python.in_environment else ""
    numpy = machine.version_of("numpy") or "not installed"
    text = f"Python {machine.python.text}{where}, numpy {numpy}"
    if system.python_too_old and system.jetpack is not None:
        return note(
            "python",
            f"{text}; JetPack {system.jetpack.jetpack} itself has {system.jetpack.python}, and "
            "TensorRT's bindings are for that one",
        )
    return ok("python", text)


def _tensorrt(machine: Machine, system: System, packages: Packages) -> Finding:
    topic = "tensorrt"
    if packages.tensorrt.present:
        return _present_tensorrt(machine, system, packages.tensorrt)
    if packages.tensorrt.broken:
        return problem(
            topic,
            f"tensorrt is installed and cannot be loaded: {packages.tensorrt.reason}",
            *_mend_numpy(packages.tensorrt, ("sudo apt install --reinstall python3-libnvinfer",)),
        )
    if packages.tensorrt_rtx.present:
        return ok(topic, f"TensorRT-RTX {packages.tensorrt_rtx.version}")
    if packages.tensorrt_rtx.broken:
        return problem(
            topic,
            f"tensorrt_rtx is installed and cannot be loaded: {packages.tensorrt_rtx.reason}",
            'pip install --force-reinstall "edgeunet[rtx]"',
        )
    if system.tegra:
        return _hidden_tensorrt(machine, system)
    if system.devices:
        return warning(
            topic,
            "TensorRT is not installed: the GPU stays unused",
            'pip install "edgeunet[rtx]"',
        )
    return ok(topic, "not installed, and there is no GPU for it")


def _present_tensorrt(machine: Machine, system: System, answer: Answer) -> Finding:
    text = f"TensorRT {answer.version}"
    jetpack = system.jetpack
    wheels = [name for name in _TENSORRT_WHEELS if machine.version_of(name)]
    # Before CUDA 13 the Arm wheels are built for servers; from CUDA 13 on they are for Jetsons too.
    if wheels and jetpack is not None and _numbers(jetpack.jetpack) < (7,):
        return warning(
            "tensorrt",
            f"{text} is a wheel for servers, and JetPack {jetpack.jetpack} has its own",
            f"pip uninstall -y tensorrt {' '.join(wheels)}",
        )
    if _too_old(answer.version):
        return problem(
            "tensorrt",
            f"{text} is older than {'.'.join(map(str, OLDEST_TENSORRT))}, the first one that "
            "is supported from Python",
            f"edgeunet build BUNDLE --trtexec --for-version {answer.version}",
        )
    if jetpack is not None and jetpack.tensorrt and not answer.version.startswith(jetpack.tensorrt):
        return note("tensorrt", f"{text}; JetPack {jetpack.jetpack} comes with {jetpack.tensorrt}")
    return ok("tensorrt", text)


def _hidden_tensorrt(machine: Machine, system: System) -> Finding:
    """Return the finding about why this Python does not find a Jetson's TensorRT."""
    topic, there = "tensorrt", find_system_tensorrt(machine)
    expected = there.version or (None if system.jetpack is None else system.jetpack.tensorrt)
    name = f"TensorRT {expected}" if expected else "TensorRT"
    if system.python_too_old or (there.python is not None and there.python < (3, 10)):
        of_system = "" if system.jetpack is None else system.jetpack.python
        python = ".".join(map(str, there.python)) if there.python else of_system
        text = f"{name} has bindings for Python {python} only, and edgeunet runs on 3.10 and later"
        if expected is not None and _numbers(expected)[:2] < _FIRST_WITH_UINT8:
            return problem(
                topic,
                f"{text}; and it lacks the uint8 tensors that frames need without --frame float",
                "edgeunet run SOURCE SINK --bundle BUNDLE --engine onnxruntime",
            )
        return problem(
            topic,
            f"{text}: a TensorRT plan can be built here, for a program of your own",
            f"edgeunet build BUNDLE --trtexec --for-version {expected or 'VERSION'}",
        )
    if there.python is None:
        installed = there.version is not None or there.trtexec
        return problem(
            topic,
            f"{name} is installed without its Python bindings"
            if installed
            else "TensorRT is not installed",
            "sudo apt install python3-libnvinfer" if installed else "sudo apt install tensorrt",
        )
    if there.python != machine.python.version:
        python = ".".join(map(str, there.python))
        return problem(
            topic,
            f"{name} is installed for Python {python}, and this is Python {machine.python.text}",
            f"python{python} -m venv --system-site-packages .venv",
            '.venv/bin/pip install "edgeunet[cpu]"',
        )
    if machine.python.in_environment and not _sees_system(machine):
        return problem(
            topic,
            f"{name} is installed, and this environment hides the system's packages",
            f"python3 -m venv --system-site-packages {machine.python.prefix}",
        )
    return problem(
        topic,
        f"{name} is installed in {there.folder}, which this Python does not search",
        "/usr/bin/python3 -m venv --system-site-packages .venv",
    )


def find_system_tensorrt(machine: Machine) -> SystemTensorrt:
    """Look for the parts that apt installs: library, bindings, trtexec."""
    version = None
    for library in machine.glob("/usr/lib/*-linux-gnu/libnvinfer.so.*"):
        match = _LIBRARY_VERSION.fullmatch(library.name)
        version = match.group(1) if match else version
    python, folder = None, None
    for path in machine.glob("/usr/lib/python3*/dist-packages/tensorrt/__init__.py"):
        match = _SYSTEM_PYTHON.fullmatch(path.parents[2].name)
        if match:
            folder = Path("/") / path.parents[1].relative_to(machine.root)
            # In /usr/lib/python3, which has no minor version, they are for the system's Python.
            named = (int(match.group(1)), int(match.group(2))) if match.group(2) else None
            python = named or _default_python(machine)
    return SystemTensorrt(version, python, folder, machine.exists(_TRTEXEC))


def _default_python(machine: Machine) -> tuple[int, int] | None:
    asked = machine.run(("/usr/bin/python3", "--version"), 10)
    numbers = _NUMBER.findall(asked.out)
    return (int(numbers[0]), int(numbers[1])) if asked.code == 0 and len(numbers) > 1 else None


def _cuda_for_python(system: System, packages: Packages) -> Finding:
    topic, cuda = "cuda in python", str(system.driver.facts.get("cuda") or "")
    by_wheel = f'pip install "cuda-python~={cuda}"' if cuda else "pip install cuda-python"
    by_compiler = "PATH=/usr/local/cuda/bin:$PATH pip install pycuda"
    names = []
    if packages.pycuda.present:
        version = packages.pycuda.version
        if cuda.startswith("13") and _numbers(version) < _PYCUDA_FOR_CUDA_13:
            return warning(
                topic,
                f"pycuda {version} does not know CUDA {cuda}",
                "PATH=/usr/local/cuda/bin:$PATH pip install --upgrade pycuda",
            )
        names.append(f"pycuda {version}")
    if packages.cuda_python.present:
        names.append(f"cuda-python {packages.cuda_python.version}")
    if names:
        return ok(topic, ", ".join(names))
    broken = packages.pycuda if packages.pycuda.broken else packages.cuda_python
    if broken.broken:
        which = "pycuda" if packages.pycuda.broken else "cuda-python"
        return problem(topic, f"{which} cannot be loaded: {broken.reason}", by_wheel)
    mends = (by_compiler, f"or, without a compiler: {by_wheel}") if system.toolkit else (by_wheel,)
    return problem(topic, "neither pycuda nor cuda-python is installed", *mends)


def _onnxruntime(answer: Answer) -> Finding:
    if answer.present:
        providers = ", ".join(
            str(name).removesuffix("ExecutionProvider")
            for name in answer.facts.get("providers") or ["none"]
        )
        return ok("onnxruntime", f"onnxruntime {answer.version}: {providers}")
    if answer.broken:
        return problem(
            "onnxruntime",
            f"onnxruntime is installed and cannot be loaded: {answer.reason}",
            *_mend_numpy(answer, ("pip install --force-reinstall onnxruntime",)),
        )
    return warning("onnxruntime", "onnxruntime is not installed", 'pip install "edgeunet[cpu]"')


def _opencv(machine: Machine, system: System, answer: Answer) -> Finding:
    wheels = [name for name in _OPENCV_WHEELS if machine.version_of(name)]
    of_system = _opencv_of_system(machine, system, wheels)
    if answer.broken:
        again = of_system if system.tegra else ("pip install --force-reinstall opencv-python",)
        return warning(
            "opencv",
            f"OpenCV is installed and cannot be loaded: {answer.reason}",
            *_mend_numpy(answer, again),
        )
    if not answer.present:
        return warning(
            "opencv",
            "OpenCV is not installed: videos and cameras cannot be opened",
            *(of_system if system.tegra else ('pip install "edgeunet[video]"',)),
        )
    streamer = str(answer.facts.get("gstreamer", "NO"))
    text = f"OpenCV {answer.version}"
    if streamer.upper().startswith("YES"):
        return ok("opencv", f"{text} with GStreamer {streamer[3:].strip(' ()')}".rstrip())
    if system.tegra:
        return warning(
            "opencv",
            f"{text} without GStreamer: csi:// and gst:// cannot be opened",
            *of_system,
        )
    return note("opencv", f"{text} without GStreamer: gst:// cannot be opened")


def _opencv_of_system(machine: Machine, system: System, wheels: list[str]) -> tuple[str, ...]:
    """Return the commands after which the system's OpenCV, which has GStreamer, is loaded.

    It works with the system's Python only. Another Python needs the wheel, which has no GStreamer.
    """
    jetpack = system.jetpack
    if jetpack is not None and _numbers(jetpack.python) != machine.python.version:
        if system.python_too_old:
            return ('pip install "edgeunet[video]", and read USB cameras and videos with it',)
        return (f"python{jetpack.python} -m venv --system-site-packages .venv",)
    mends = ["sudo apt install python3-opencv"]
    if wheels:
        mends.insert(0, f"pip uninstall -y {' '.join(wheels)}")
    if machine.python.in_environment and not _sees_system(machine):
        mends.append(f"python3 -m venv --system-site-packages {machine.python.prefix}")
    return tuple(mends)


def _torch(machine: Machine) -> Finding:
    version = machine.version_of("torch")
    if version is None:
        return ok("torch", "not installed: running needs none; exporting and training do")
    return ok("torch", f"torch {version}: for exporting and training, not for running")


def _mend_numpy(answer: Answer, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command for a package that was compiled for NumPy 1, else ``otherwise``."""
    for sign in ("NumPy 1", "_ARRAY_API", "numpy.core.multiarray failed"):
        if sign in answer.reason:
            return ('pip install "numpy<2"',)
    return otherwise


def _sees_system(machine: Machine) -> bool:
    text = machine.read(f"{machine.python.prefix}/pyvenv.cfg") or ""
    return bool(re.search(r"include-system-site-packages\s*=\s*true", text, re.IGNORECASE))


def _too_old(version: str) -> bool:
    numbers = _numbers(version)[:2]
    return bool(numbers) and numbers < OLDEST_TENSORRT


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(version))
