"""Does any verb end in a traceback, whatever surrounds it?

    python -m benchmarks.surroundings [--verb NAME]... [--demo]

Every verb is run with closed and full streams, with streams that know ASCII or latin-1 only, on
names that are no UTF-8, with 32 file descriptors, in a narrow terminal, and on disks that are too
small: file systems in memory of a few KiB, and of one MiB more each time until the verb ends well.
Temporary files go to that disk, too. Mounting them needs root on Linux. A verb ends well, or in two
lines with the code 1 or 2; then no half-written file is left. Each run is a child of a process
that has loaded the libraries; ``started anew`` stands for whole processes in the locale C. The
command ends with code 1 if there were faults. Rows go to ``results/surroundings.csv``, where
those of other verbs stay; ``--demo`` adds that verb, which takes minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import pty
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from benchmarks.helpers.verb_inputs import make_inputs
from edgeunet.cli import main as edgeunet
from edgeunet.cli.console import note, print_table

NAME = "surroundings"
_KIB, _MIB = 1 << 10, 1 << 20
_SMALL_BYTES = tuple(size * _KIB for size in (4, 16, 64, 256, 512))
_MOST_MIB = 24

BUNDLE, SMALL = "{there}/tiny.bundle", ("--width", "8", "--size", "32x48", "--random-weights")
SIZED = ("--size", "32x48")
VERBS: dict[str, tuple[str, ...]] = {
    "run image": ("run", "{there}/in/0.png", "{out}/o.png", "--bundle", BUNDLE),
    "run folder": ("run", "{there}/in", "{out}/frames/", "--bundle", BUNDLE),
    "run video": ("run", "test://?size=32x48&frames=300", "{out}/v.mp4", "--bundle", BUNDLE),
    "run json": ("run", "{there}/in/0.png", "none", "--bundle", BUNDLE, "--json"),
    "run jobs": ("run", "{there}/clips", "{out}/videos/", "--bundle", BUNDLE, "--jobs", "2"),
    "run config": (
        "run", "{there}/in/0.png", "{out}/o.png", "--bundle", BUNDLE,
        "--config", "{there}/run.toml",
    ),
    "run segments": (
        "run", "test://?size=32x48&frames=300", "{out}/parts/", "--bundle", BUNDLE,
        "--segment", "2s", "--event", "red>1%", "--event-images", "{out}/events", "--json-lines",
    ),
    "eval": ("eval", BUNDLE, "{there}/in", "--sigma", "25", "--csv", "{out}/a.csv"),
    "eval report": ("eval", BUNDLE, "{there}/in", "--sigma", "25", "--report", "{out}/r.html"),
    "eval clips": (
        "eval", BUNDLE, "{there}/clips/0.mkv", "{there}/clips/1.mkv", "--clip", "--sigma", "25",
        "--csv", "{out}/a.csv", "--json",
    ),
    "calibrate": (
        "calibrate", "{there}/in", "--name", "c", "--size", "24x32", "--frames", "5",
        "--sigma", "0", "--copy", "--out", "{out}/sets",
    ),
    "calibrate clips": (
        "calibrate", "{there}/clips/0.mkv", "--name", "c", "--size", "24x32", "--frames", "5",
        "--copy", "--out", "{out}/sets",
    ),
    "noise": ("noise", "{there}/shots", "--profile", "{out}/n.toml", "--plot", "{out}/n.png"),
    "train": ("train", "{there}/mine.toml", "--data", "{there}/in", "--out", "{out}/run"),
    "train resume": (
        "train", "{there}/mine.toml", "--data", "{there}/in", "--out", "{out}/run", "--resume",
    ),
    "train clips": (
        "train", "{there}/frames.toml", "--clips", "{there}/clips", "--out", "{out}/run",
        "--steps", "2",
    ),
    "export": ("export", "--model", "unetmm", *SMALL, "--out", "{out}/e.bundle"),
    "export onnx": ("export", "--onnx", "{there}/net.onnx", *SIZED, "--out", "{out}/n.bundle"),
    "export budget": (
        "export", "--model", "unetmm", "--width", "8", "--size", "128x192", "--random-weights",
        "--budget", "4MiB", "--out", "{out}/w.bundle",
    ),
    "memory onnx": ("memory", "{there}/net.onnx", *SIZED, "--budget", "2MiB"),
    "memory plot": (
        "memory", BUNDLE, "--plot", "{out}/m.png", "--plot", "{out}/m.svg",
    ),
    "memory measure": ("memory", "{there}/tiny.bundle/graph.onnx", "--measure"),
    "memory json": ("memory", BUNDLE, "--json"),
    "triton": ("triton", BUNDLE, "{out}/repository"),
    "service": (
        "service", "install", "--config", "{there}/service.toml", "--user", "daemon",
        "--name", "camera", "--units", "{out}",
    ),
    "service show": ("service", "show", "--config", "{there}/service.toml", "--user", "daemon"),
    "build": ("build", BUNDLE),
    "models": ("models",),
    "models json": ("models", "--json"),
    "doctor": ("doctor",),
    "doctor json": ("doctor", "--json"),
    "help": ("--help",),
    "wrong option": ("run", "--sized"),
}  # fmt: skip
_PRELOADED = ("torch", "onnxruntime", "cv2", "matplotlib.figure", "onnxscript", "skimage.io")
# What these refuse whatever surrounds them: there is no GPU, and no such option.
REFUSED = ("build", "wrong option")
# These write names of their inputs into text that is UTF-8.
NAMED = ("calibrate", "calibrate clips", "run jobs", "service", "service show")
BEGUN = {"train resume": ("run",)}
"""Folders of the inputs that are copied to where a verb writes, before it begins."""
DEMO = {"demo": ("demo", "--out", "{out}/demo")}


@dataclass
class Surrounding:
    """What a run has around it. Run in the child, after its streams were made.

    prepare: changes the child. told: whether its stderr can be read.
    """

    name: str
    prepare: Callable[[], None]
    told: bool = True
    odd_names: bool = False


def _close(*numbers: int) -> Callable[[], None]:
    def close() -> None:
        for number in numbers:
            os.close(number)
            setattr(sys, ("stdin", "stdout", "stderr")[number], None)

    return close


def _full(number: int) -> Callable[[], None]:
    def fill() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), number)

    return fill


def _encoded(encoding: str) -> Callable[[], None]:
    def encode() -> None:
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding, "strict")
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding, "strict")

    return encode


def _few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def _narrow_terminal() -> None:
    """Write to a terminal of ten columns, which nobody reads but this process."""
    _, terminal = pty.openpty()
    os.environ["COLUMNS"] = "10"
    os.dup2(terminal, 1)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


SURROUNDINGS = (
    Surrounding("plain", lambda: None),
    Surrounding("no stdout", _close(1)),
    Surrounding("no stderr", _close(2), told=False),
    Surrounding("no streams", _close(0, 1, 2), told=False),
    Surrounding("full stdout", _full(1)),
    Surrounding("full stderr", _full(2), told=False),
    Surrounding("ascii", _encoded("ascii")),
    Surrounding("latin-1", _encoded("latin-1")),
    Surrounding("odd names", lambda: None, odd_names=True),
    Surrounding("32 descriptors", _few_files),
    Surrounding("narrow terminal", _narrow_terminal),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verb", action="append")
    parser.add_argument("--demo", action="store_true")
    arguments = parser.parse_args()
    known = {**VERBS, **(DEMO if arguments.demo else {})}
    verbs = {name: known[name] for name in arguments.verb or known}
    for package in _PRELOADED:
        importlib.import_module(package)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        there, odd = root / "there", root / os.fsdecode(b"l\xdf [b] \xe2\x91\xa0")
        make_inputs(there)
        shutil.copytree(there, odd)
        for name, words in verbs.items():
            for surrounding in SURROUNDINGS:
                out = root / "out"
                inputs = odd if surrounding.odd_names else there
                _begin(name, there, out)
                ending = _run(words, surrounding, inputs, out, root)
                shutil.rmtree(out, ignore_errors=True)
                allowed = (*REFUSED, *(NAMED if surrounding.odd_names else ()))
                harmless = surrounding.name in ("plain", "odd names")
                if harmless and ending[0] and not ending[1] and name not in allowed:
                    ending = ending[0], "refused where nothing is in its way"
                rows.append(_row(name, surrounding.name, ending))
            rows.append(_row(name, "started anew", _started_anew(name, words, there, root)))
            rows.extend(_on_small_disks(name, words, there, root))
            note(" | ".join(_summary(name, [row for row in rows if row["verb"] == name])))
    faults = [row for row in rows if row["fault"]]
    print_table(
        f"{len(rows)} runs, {len(faults)} faults",
        ("verb", "runs", "refused", "faults", "disks too small"),
        [_summary(name, [row for row in rows if row["verb"] == name]) for name in verbs],
    )
    path = RESULTS / f"{NAME}.csv"
    kept = [row for row in (read_csv(path) if path.exists() else []) if row["verb"] not in verbs]
    note(f"wrote {write_csv(NAME, [*kept, *rows], provenance())}")
    return int(bool(faults))


def _summary(name: str, rows: list[dict[str, object]]) -> tuple[str, ...]:
    disks = [row for row in rows if str(row["surrounding"]).startswith("disk of") and row["code"]]
    refused = sum(bool(row["code"]) for row in rows)
    faults = sum(bool(row["fault"]) for row in rows)
    return name, str(len(rows)), str(refused), str(faults), str(len(disks))


def _row(verb: str, surrounding: str, ending: tuple[int, str]) -> dict[str, object]:
    if ending[1]:
        note(f"{verb}, {surrounding}: {ending[1]}")
    return {"verb": verb, "surrounding": surrounding, "code": ending[0], "fault": ending[1]}


def _begin(name: str, there: Path, out: Path) -> bool:
    """Put what a verb goes on with where it writes. Returns whether there was room for it."""
    out.mkdir(exist_ok=True)
    try:
        for folder in BEGUN.get(name, ()):
            shutil.copytree(there / folder, out / folder)
    except OSError:
        return False
    return True


def _run(
    words: tuple[str, ...], surrounding: Surrounding, there: Path, out: Path, root: Path
) -> tuple[int, str]:
    """Run a verb in a child, and return its code and what is wrong with how it ended."""
    told, broken = root / "stderr", root / "broken"
    broken.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _be_the_verb([word.format(there=there, out=out) for word in words], surrounding, root, out)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    text = told.read_text(errors="replace")
    if broken.exists():
        return code, broken.read_text().strip().splitlines()[-1]
    return code, _fault(code, text if surrounding.told else None, out)


def _be_the_verb(words: list[str], surrounding: Surrounding, root: Path, out: Path) -> None:
    """Run a verb in this process, and end it."""
    # Opened first: the surroundings may leave no way to.
    record = os.open(root / "broken.part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    record = os.dup2(record, 20)
    code = 3
    try:
        for number, name in ((1, "stdout"), (2, "stderr")):
            to = os.open(root / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(to, number)
            os.close(to)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8") for number in (1, 2)
        )
        os.environ["TMPDIR"] = str(out)
        tempfile.tempdir = None
        surrounding.prepare()
        code = edgeunet(words)
        # What the interpreter does at its end.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError) if stream is sys.stderr else contextlib.nullcontext():
                stream.flush()
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(record, traceback.format_exc().encode("utf-8", "backslashreplace"))
            (root / "broken.part").rename(root / "broken")
    os._exit(code)


def _fault(code: int, text: str | None, out: Path) -> str:
    """Return what is wrong with how a verb ended; "" for nothing. text: its stderr, if any."""
    if code not in (0, 1, 2):
        return f"the code {code}"
    if text is not None:
        if "Traceback" in text or "Exception ignored" in text:
            return f"a traceback: {text.strip().splitlines()[-1][:120]}"
        lines = text.splitlines()[-2:]
        wanted = ("error: ", "hint: ")
        if code and not (
            len(lines) == 2
            and all(line.startswith(start) for line, start in zip(lines, wanted, strict=True))
        ):
            return f"no two lines: {' / '.join(lines)[:120]}"
    left = [path.name for path in out.rglob("*") if ".partial" in path.name]
    return f"left {left[0]}" if left else ""


def _started_anew(name: str, words: tuple[str, ...], there: Path, root: Path) -> tuple[int, str]:
    """Run a verb as a process of its own in the locale C, and without UTF-8 mode."""
    out = root / "out"
    _begin(name, there, out)
    locale = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = subprocess.run(
        [sys.executable, "-m", "edgeunet", *(w.format(there=there, out=out) for w in words)],
        env={**os.environ, **locale},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    fault = _fault(ran.returncode, ran.stderr, out)
    shutil.rmtree(out, ignore_errors=True)
    return ran.returncode, fault


def _on_small_disks(
    name: str, words: tuple[str, ...], there: Path, root: Path
) -> Iterator[dict[str, object]]:
    """Run a verb on larger and larger disks, until it ends well."""
    if not any("{out}" in word or word == "--measure" for word in words):
        return
    sizes = (*_SMALL_BYTES, *(mib * _MIB for mib in range(1, _MOST_MIB + 1)))
    for size_bytes in sizes:
        with _disk(root / "disk", size_bytes) as disk:
            if not _begin(name, there, disk):
                continue
            ending = _run(words, SURROUNDINGS[0], there, disk, root)
        yield _row(name, f"disk of {size_bytes // _KIB} KiB", ending)
        if ending == (0, ""):
            return


@contextlib.contextmanager
def _disk(path: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of a size, and take it away again."""
    path.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(path)], check=True
    )
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


if __name__ == "__main__":
    sys.exit(main())
