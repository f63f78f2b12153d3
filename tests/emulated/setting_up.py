"""Sets up what the machines of ``tests.emulated.machines`` need, in ``.emulated/``.

    python -m tests.emulated.setting_up

With apt and pip, as an ordinary user: qemu 10 and an ARM64 Python from Debian 13, unpacked, and
ARM64 wheels. It makes a copy of onnxruntime in which CPUID can be answered otherwise; gcc and
binutils do that. What is there already is kept.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from tests.emulated.machines import (
    ARM_PYTHON,
    CACHE,
    DEBIAN,
    MACHINES,
    SET_UP,
    Machine,
    machine,
    script_of,
)

_HERE = Path(__file__).parent

# qemu 7.2, Debian 12's, crashes with onnxruntime 1.32.
_RELEASE = "trixie"
_TOOLS = ("apt-get", "dpkg-deb", "gcc", "readelf", "objdump")
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
    # What OpenCV's wheel takes from the system.
    *("libgl1:arm64", "libglx0:arm64", "libglvnd0:arm64", "libx11-6:arm64", "libxcb1:arm64"),
    *("libxau6:arm64", "libxdmcp6:arm64", "libbsd0:arm64", "libmd0:arm64", "libsm6:arm64"),
    *("libice6:arm64", "libxext6:arm64", "libuuid1:arm64", "libglib2.0-0t64:arm64"),
    *("libpcre2-8-0:arm64", "libatomic1:arm64"),
)
_ARM_TAGS = (
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux2014_aarch64",
    "manylinux_2_17_aarch64",
)
# What edgeunet's device install needs, without what only the command line prints with.
_ARM_WHEELS = ("numpy", "msgspec", "flatbuffers", "protobuf", "packaging", "typing-extensions")


@dataclass(frozen=True)
class _Step:
    """What is fetched or made. made_of: what it depends on; it is done again where that changed."""

    name: str
    do: Callable[[str], None]
    made_of: tuple[str, ...]


def _steps(version: str) -> tuple[_Step, ...]:
    source = (_HERE / "masked_cpuid.c").read_text()
    return (
        _Step("debian", _fetch_debian, (_RELEASE, *_DEBS)),
        # They name the folder, which may have been moved.
        _Step("scripts", _write_scripts, (str(CACHE), *(one.name for one in MACHINES))),
        _Step("wheels", _fetch_wheels, (version, *_ARM_WHEELS)),
        _Step("masked", _mask_onnxruntime, (version, source)),
    )


def main() -> None:
    """Fetch and make what is not there yet. What was interrupted is taken up at the step it was in.

    Raises SystemExit, with two lines, where a program is missing or a download fails.
    """
    version = metadata.version("onnxruntime")
    stamps = SET_UP.parent
    left = [one for one in _steps(version) if _stamp(stamps / one.name) != "\n".join(one.made_of)]
    if not left:
        return
    _require_tools()
    stamps.mkdir(parents=True, exist_ok=True)
    for step in left:
        print(f"{(step.do.__doc__ or '').splitlines()[0]}", flush=True)
        stamp = stamps / step.name
        stamp.unlink(missing_ok=True)
        step.do(version)
        stamp.write_text("\n".join(step.made_of))


def _stamp(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _require_tools() -> None:
    lacking = [name for name in _TOOLS if shutil.which(name) is None]
    if platform.machine() != "x86_64" or "apt-get" in lacking or "dpkg-deb" in lacking:
        raise SystemExit(
            "error: emulation is set up with apt on x86-64, and this is another system\n"
            "hint: run it on Debian 12 or later, or in a container of it"
        )
    if lacking:
        raise SystemExit(
            f"error: {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing\n"
            "hint: apt install gcc libc6-dev binutils"
        )
    if not Path(_KEYS).is_file():
        raise SystemExit(
            f"error: {_KEYS} is missing, which Debian's packages are checked with\n"
            "hint: apt install debian-archive-keyring"
        )


def _fetch_debian(version: str) -> None:
    """Unpack qemu and an ARM64 Python from Debian's packages."""
    apt, debs = CACHE / "apt", CACHE / "debs"
    for folder in (apt / "lists/partial", apt / "archives/partial", debs):
        folder.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={_KEYS}] {_mirror()} {_RELEASE} main\n")
    (apt / "apt.conf").write_text(
        f'Dir::State "{apt}";\nDir::State::status "{apt}/status";\nDir::Cache "{apt}";\n'
        f'Dir::Etc::sourcelist "{apt}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        'APT::Architectures { "amd64"; "arm64"; };\nAPT::Sandbox::User "";\n'
    )
    settings = {"APT_CONFIG": str(apt / "apt.conf")}
    _call("apt-get", "-qq", "update", environment=settings)
    _call("apt-get", "-qq", "download", *_DEBS, environment=settings, folder=debs)
    for deb in debs.glob("*.deb"):
        target = CACHE / "qemu" if deb.name.startswith("qemu") else DEBIAN
        target.mkdir(exist_ok=True)
        _call("dpkg-deb", "-x", str(deb), str(target))
    loader = DEBIAN / "lib"
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


def _write_scripts(version: str) -> None:
    """Let a Python on ARM64 start others: the system runs no ARM64 programs by itself."""
    for one in MACHINES:
        script = script_of(one.name)
        if str(script) in one.prefix:
            words = " ".join(map(shlex.quote, (*one.prefix, one.python)))
            script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            script.chmod(0o755)


def _fetch_wheels(version: str) -> None:
    """Install ARM64 wheels, of the same onnxruntime as here."""
    _install(CACHE / "arm64-packages", "--no-deps", *_ARM_WHEELS, f"onnxruntime=={version}")


def install_wheel(wheel: Path, extras: str) -> Machine:
    """Return a Cortex-A76 that has a wheel of this project with some extras, and not the checkout.

    extras: such as ``cpu,video``. Packages are downloaded with pip.
    """
    target = CACHE / "device"
    shutil.rmtree(target, ignore_errors=True)
    _install(target, f"{wheel}[{extras}]")
    return replace(machine("cortex-a76"), environment={"PYTHONPATH": str(target)})


def _install(target: Path, *packages: str) -> None:
    tags = [word for tag in _ARM_TAGS for word in ("--platform", tag)]
    _call(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
        *("--target", str(target), "--upgrade", *tags),
        *("--python-version", ARM_PYTHON, "--only-binary=:all:", *packages),
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
        last = (done.stderr.strip() or "it says nothing").splitlines()[-1]
        raise SystemExit(
            f"error: {' '.join(words[:4])} failed: {last}\n"
            "hint: run it again if that was a download; what is there is kept"
        )
    return done.stdout


if __name__ == "__main__":
    main()
