"""Processors that nobody has here: the commands that run this project's code on them.

``python -m tests.emulated.machines`` fetches what they need into ``.emulated/``, with apt and pip,
as an ordinary user: qemu 10 and an ARM64 Python from Debian 13, unpacked, and ARM64 wheels. It
makes a copy of onnxruntime in which CPUID can be answered otherwise; gcc and binutils do that.

qemu emulates ARM64 and an AVX2 processor instruction by instruction. It knows no AVX-512. The other
x86 classes run natively, but onnxruntime is told that features are missing: it picks its kernels by
CPUID alone. That needs a processor which has what the class has.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

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
_HERE = Path(__file__).parent
_TEXTS = ROOT / "tests" / "cpuinfo"

# qemu 7.2, Debian 12's, crashes with onnxruntime 1.32.
_DEBIAN = "trixie"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DEBS = (
    "qemu-user:amd64",
    "libc6:arm64",
    "libgcc-s1:arm64",
    "libstdc++6:arm64",
    "python3.13-minimal:arm64",
    "libpython3.13-minimal:arm64",
    "libpython3.13-stdlib:arm64",
    "libexpat1:arm64",
    "zlib1g:arm64",
    "libssl3t64:arm64",
    "libffi8:arm64",
    "libbz2-1.0:arm64",
    "liblzma5:arm64",
    "libzstd1:arm64",
)
_ARM_PYTHON = "3.13"
_ARM_TAGS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
# What edgeunet's device install needs, without what only the command line prints with.
_ARM_WHEELS = ("numpy", "msgspec", "flatbuffers", "protobuf", "packaging", "typing-extensions")

# leaf:subleaf:register:mask, as masked_cpuid.c reads them.
_NO_VNNI = "7:0:c:00000800 7:1:a:00000030 7:1:d:00000010 7:0:d:03400000"
_NO_AVX512 = "7:0:b:dc230000 7:0:c:00005842 7:0:d:03c0010c 7:1:a:00000020 7:1:d:00000010"
_NO_AVX_VNNI = "7:1:a:00000010"
_NO_AVX2 = "7:0:b:00000020 1:0:c:00001000"
_OLD_CPUINFO = "flags : sse4_1 sse4_2 avx"


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
        self, module: str, *arguments: str, timeout_seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m module`` there."""
        return subprocess.run(
            [*self.prefix, self.python, "-m", module, *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def lacking(self) -> str | None:
        """Return in words what keeps it from running here; None if it can."""
        if not CACHE.is_dir():
            return "nothing is fetched: make emulated"
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


def _arm(name: str, kind: ProcessorClass, model: str) -> Machine:
    debian = CACHE / "arm64"
    return Machine(
        name,
        kind,
        (str(CACHE / "qemu/usr/bin/qemu-aarch64"), "-cpu", model, "-L", str(debian)),
        python=str(debian / f"usr/bin/python{_ARM_PYTHON}"),
        environment={"PYTHONPATH": f"{CACHE / 'arm64-packages'}:{ROOT}"},
    )


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
    _arm("cortex-a76", ARM64_FP16_DOT, "cortex-a76"),
    _arm("cortex-a72", ARM64, "cortex-a72"),
)


def machine(name: str) -> Machine:
    """Return a machine by its name; raises KeyError."""
    return {one.name: one for one in MACHINES}[name]


def main() -> None:
    """Fetch and make what is not there yet."""
    version = metadata.version("onnxruntime")
    ready = CACHE / f"ready-{version}"
    if ready.is_file():
        return
    CACHE.mkdir(exist_ok=True)
    for step in (_fetch_debian, _fetch_wheels, _mask_onnxruntime):
        print(f"{(step.__doc__ or '').splitlines()[0]}", flush=True)
        step(version)
    ready.touch()


def _fetch_debian(version: str) -> None:
    """Unpack qemu and an ARM64 Python from Debian's packages."""
    apt, debs = CACHE / "apt", CACHE / "debs"
    for folder in (apt / "lists/partial", apt / "archives/partial", debs):
        folder.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={_KEYS}] {_mirror()} {_DEBIAN} main\n")
    (apt / "apt.conf").write_text(
        f'Dir::State "{apt}";\nDir::State::status "{apt}/status";\nDir::Cache "{apt}";\n'
        f'Dir::Etc::sourcelist "{apt}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        'APT::Architectures { "amd64"; "arm64"; };\nAPT::Sandbox::User "";\n'
    )
    settings = {"APT_CONFIG": str(apt / "apt.conf")}
    _call("apt-get", "-qq", "update", environment=settings)
    _call("apt-get", "-qq", "download", *_DEBS, environment=settings, folder=debs)
    for deb in debs.glob("*.deb"):
        target = CACHE / ("qemu" if deb.name.startswith("qemu") else "arm64")
        target.mkdir(exist_ok=True)
        _call("dpkg-deb", "-x", str(deb), str(target))
    loader = CACHE / "arm64/lib"
    if not loader.exists():
        loader.symlink_to("usr/lib")
    shutil.rmtree(debs)


def _mirror() -> str:
    """Return where this system's own Debian packages come from."""
    listed = _call("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)")
    for line in listed.splitlines():
        address, _, part = line.partition(" ")
        if address.rstrip("/").endswith("/debian") and part.endswith(" main"):
            return address
    raise SystemExit("error: apt lists no Debian packages\nhint: apt-get update, on Debian")


def _fetch_wheels(version: str) -> None:
    """Install ARM64 wheels, of the same onnxruntime as here."""
    tags = [word for tag in _ARM_TAGS for word in ("--platform", tag)]
    _call(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
        *("--target", str(CACHE / "arm64-packages"), "--upgrade", "--no-deps", *tags),
        *("--python-version", _ARM_PYTHON, "--only-binary=:all:"),
        *(*_ARM_WHEELS, f"onnxruntime=={version}"),
    )


def _mask_onnxruntime(version: str) -> None:
    """Copy onnxruntime with its CPUID instructions replaced."""
    source = Path(str(metadata.distribution("onnxruntime").locate_file("onnxruntime")))
    target = CACHE / "masked" / "onnxruntime"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    (library,) = (target / "capi").glob("onnxruntime_pybind11_state*.so")
    code = bytearray(library.read_bytes())
    for offset in _cpuid_offsets(library):
        if code[offset : offset + 2] != b"\x0f\xa2":
            raise RuntimeError(f"{library.name} has no CPUID at {offset:#x}")
        code[offset : offset + 2] = b"\x0f\x0b"
    library.write_bytes(code)
    _call(
        *("gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC"),
        *("-o", str(CACHE / "masked_cpuid.so"), str(_HERE / "masked_cpuid.c")),
    )


def _cpuid_offsets(library: Path) -> list[int]:
    """Return where the file has CPUID instructions."""
    headers = _call("readelf", "-SW", str(library))
    match = re.search(r"\.text\s+PROGBITS\s+(\w+)\s+(\w+)", headers)
    if match is None:
        raise RuntimeError(f"{library.name} has no code")
    address, offset = (int(digits, 16) for digits in match.groups())
    listing = _call("objdump", "-d", "--no-show-raw-insn", "-j", ".text", str(library))
    found = re.findall(r"^\s*([0-9a-f]+):\s+cpuid\b", listing, re.MULTILINE)
    return [int(digits, 16) - address + offset for digits in found]


def _call(
    *words: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    done = subprocess.run(
        words,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(words[:3])} failed\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
