"""What holds for every verb: two lines and an exit code, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from edgeunet import __version__
from edgeunet.cli import models, verbs
from edgeunet.cli.app import EXTRAS
from edgeunet.cli.train import InterruptedTrainingError
from edgeunet.cli.verbs import VERBS
from edgeunet.errors import ParityError
from tests.cli.command import edgeunet

Fail = Callable[[BaseException], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Let ``edgeunet models`` end in this exception."""

    def plant(failure: BaseException) -> None:
        def load_recipe(name: str) -> None:
            raise failure

        monkeypatch.setattr(models, "load_recipe", load_recipe)

    return plant


def test_the_overview_says_every_command_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, _, commands = edgeunet("--help").out.partition("Commands:\n")
    lines = [line.split(maxsplit=1) for line in commands.splitlines() if line]
    assert [name for name, _ in lines] == list(VERBS)
    assert [name for name, what in lines if not what.endswith(".") or what.endswith("..")] == []


def test_the_order_of_verbs_is_the_same_whatever_was_registered_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = typer.Typer()
    with monkeypatch.context() as some:
        some.setattr(verbs, "VERBS", {"memory": "memory", "models": "models"})
        verbs.register(app)
    verbs.register(app)
    assert [entry.name for entry in app.registered_commands] == list(VERBS)


def test_version() -> None:
    ran = edgeunet("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"edgeunet {__version__}\n", "")


@pytest.mark.parametrize("words", [("--help",), ("-h",)])
def test_help_names_every_verb(words: tuple[str, ...]) -> None:
    ran = edgeunet(*words)
    assert (ran.code, ran.err) == (0, "")
    for verb in VERBS:
        assert f" {verb} " in ran.out


def test_no_arguments_show_the_help_and_are_a_wrong_usage() -> None:
    ran = edgeunet()
    assert ran.code == 2
    assert ran.out.strip() == edgeunet("--help").out.strip()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_help(verb: str) -> None:
    ran = edgeunet(verb, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"edgeunet {verb}" in ran.out


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("exprot",), "No such command 'exprot'", "see: edgeunet --help"),
        (("--exprot",), "No such option: --exprot", "see: edgeunet --help"),
        (("models", "--modle", "unet"), "No such option: --modle", "see: edgeunet models --help"),
        (("models", "--model"), "Option '--model' requires an argument", "edgeunet models --help"),
        (("models", "unet"), "Got unexpected extra argument", "see: edgeunet models --help"),
        (("export",), "no network is given", "give --model MODEL for one of edgeunet, or --onnx"),
        (("run",), "Missing", "see: edgeunet run --help"),
        (("train",), "Missing", "see: edgeunet train --help"),
        (("run", "x.mp4", "--bundle", "b", "--seed", "one"), "'--seed'", "edgeunet run --help"),
    ],
)
def test_a_wrong_command_line(words: tuple[str, ...], error: str, hint: str) -> None:
    ran = edgeunet(*words)
    assert ran.code == 2
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert ran.notes == []


def test_a_near_option_is_suggested() -> None:
    assert "--model" in edgeunet("models", "--modle", "unet").failure[0].partition("modle")[2]


def test_a_message_of_several_lines_is_still_one(fail: Fail) -> None:
    fail(ParityError("one\n  two", hint="three\n four"))
    ran = edgeunet("models")
    assert ran.code == 1
    assert ran.failure == ("one two", "three four")


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space, or write to another disk"),
        (errno.EDQUOT, "free some space, or write to another disk"),
        (errno.EROFS, "choose a folder that can be written"),
        (errno.EACCES, "choose a folder or file you may read and write"),
        (errno.EPERM, "choose a folder or file you may read and write"),
        (errno.ENOENT, "check the path"),
        (errno.EIO, "check the path and the disk"),
    ],
)
def test_what_the_system_refuses(number: int, hint: str, fail: Fail) -> None:
    fail(OSError(number, os.strerror(number), "some/file"))
    ran = edgeunet("models")
    assert ran.code == 1
    assert ran.failure == (f"some/file: {os.strerror(number)}", hint)


def test_a_refusal_without_a_file_or_a_number(fail: Fail) -> None:
    fail(OSError("something about a disk"))
    assert edgeunet("models").failure == ("something about a disk", "check the path and the disk")


def test_ctrl_c(fail: Fail) -> None:
    fail(KeyboardInterrupt())
    ran = edgeunet("models")
    assert ran.code == 130
    assert ran.failure == ("interrupted", "run the command again to start over")


def test_ctrl_c_before_the_command_line_is_imported() -> None:
    planted = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder)\n"
        "from edgeunet.cli import main\n"
        "sys.exit(main(['models']))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", planted], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 130
    assert ran.stderr == "error: interrupted\nhint: run the command again to start over\n"
    assert ran.stdout == ""


@pytest.mark.parametrize("library", [KeyboardInterrupt, RuntimeError, ParityError])
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_a_signal_whatever_a_library_makes_of_it(
    number: int,
    code: int,
    said: str,
    library: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load_recipe(name: str) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except KeyboardInterrupt as error:
            options = {"hint": "x"} if library is ParityError else {}
            raise library("a failure of its own", **options) from error

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(models, "load_recipe", load_recipe)
    ran = edgeunet("models")
    assert ran.code == code
    assert ran.failure == (said, "run the command again to start over")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_verb_has_its_own_words_for_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """As train has; the code is the signal's all the same."""

    def load_recipe(name: str) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except KeyboardInterrupt as error:
            raise InterruptedTrainingError(step=7, saved=7) from error

    monkeypatch.setattr(models, "load_recipe", load_recipe)
    ran = edgeunet("models")
    assert ran.code == 143
    assert ran.failure[0] == "interrupted at step 7; checkpoint saved"


def test_an_ignored_ctrl_c_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        models, "load_recipe", lambda name: seen.append(signal.getsignal(signal.SIGINT))
    )
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(AttributeError):
            edgeunet("models")
    finally:
        signal.signal(signal.SIGINT, usual)
    assert set(seen) == {signal.SIG_IGN}


@pytest.mark.parametrize(
    ("failure", "said"),
    [(MemoryError(), "out of memory"), (MemoryError("9 GiB"), "out of memory: 9 GiB")],
)
def test_out_of_memory(failure: MemoryError, said: str, fail: Fail) -> None:
    fail(failure)
    ran = edgeunet("models")
    assert ran.code == 1
    assert ran.failure == (said, "use a smaller --size or --width")


def test_an_optional_package_that_is_missed_late(fail: Fail) -> None:
    fail(ModuleNotFoundError("No module named 'cv2.gapi'", name="cv2.gapi"))
    ran = edgeunet("models")
    assert ran.code == 1
    assert ran.failure == (
        "edgeunet models needs the package 'cv2', which is not installed",
        'pip install "edgeunet[video]"',
    )


def test_every_optional_package_is_in_its_extra() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    distributions = {
        "cv2": "opencv-python",
        "skimage": "scikit-image",
        "onnx_ir": "onnx-ir",
        "PIL": "pillow",
        "prometheus_client": "prometheus-client",
    }
    for package, extra in EXTRAS.items():
        listed = text.partition(f"\n{extra} = [")[2].partition("]\n")[0]
        assert f'"{distributions.get(package, package)}>=' in listed, package


def test_a_module_of_ours_that_is_missing_is_a_bug(fail: Fail) -> None:
    fail(ModuleNotFoundError("No module named 'edgeunet.x'", name="edgeunet.x"))
    with pytest.raises(ModuleNotFoundError):
        edgeunet("models")


def test_a_verb_that_misses_a_module_of_ours_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edgeunet.convert.exporting", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        edgeunet("export", "--model", "unetmm")
    assert caught.value.name == "edgeunet.convert.exporting"


@pytest.mark.parametrize("bug", [RuntimeError("a bug"), KeyError("x"), AssertionError()])
def test_a_bug_is_not_swallowed(bug: Exception, fail: Fail) -> None:
    """A traceback is what a bug report needs; two friendly lines would hide it."""
    fail(bug)
    with pytest.raises(type(bug)) as caught:
        edgeunet("models")
    assert caught.value is bug


@pytest.mark.parametrize("words", [("models", "--model", "unetmm"), ("--version",)])
def test_a_reader_that_went_away(words: tuple[str, ...]) -> None:
    """As in ``edgeunet models | head -0``: no traceback, and no complaint at exit."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "edgeunet", *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (ran.returncode, ran.stderr) == (1, "")
