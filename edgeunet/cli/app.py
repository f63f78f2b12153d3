"""The verbs of the command line, and the conversion of failures into two lines and an exit code.

Verb modules import nothing heavy at their top: what a verb needs is imported when it runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from edgeunet import __version__
from edgeunet.cli import console
from edgeunet.errors import EdgeUnetError, MissingPackageError
from edgeunet.media.live.addresses import without_passwords
from edgeunet.names import shown

app = typer.Typer(
    name="edgeunet",
    help="Put U-Net-style image networks on devices with little memory.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130
_THREADS = "edgeunet-"

# Import name of an optional package -> the extra that installs it.
EXTRAS = {
    "torch": "export",
    "onnx": "memory",
    "onnx_ir": "memory",
    "onnxscript": "export",
    "onnxruntime": "cpu",
    "cv2": "video",
    "skimage": "export",
    "PIL": "video",
    "safetensors": "export",
    "scipy": "export",
    "matplotlib": "plot",
    "accelerate": "train",
    "aiohttp": "preview",
    "prometheus_client": "metrics",
}

_OS_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder or file you may read and write",
    errno.EPERM: "choose a folder or file you may read and write",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file is in the way: choose another folder",
    errno.EEXIST: "a file is in the way: choose another folder",
}


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"edgeunet {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Put U-Net-style image networks on devices with little memory."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    The code is 0 for success, 1 for an error, 2 for wrong usage, 130 for Ctrl-C and 143 for
    SIGTERM.
    """
    console.prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    with _interruptible() as received:
        try:
            code = _run(arguments)
        except EdgeUnetError as error:
            # A verb may report an interruption itself.
            if not received or error.exit_code == _INTERRUPTED:
                code = _report(error.message, error.hint, error.exit_code)
            else:
                code = _report_interruption(received[0])
        except KeyboardInterrupt:
            code = _report_interruption(received[0] if received else signal.SIGINT)
        except Exception:
            # A library may turn the interruption into another error.
            if not received:
                raise
            code = _report_interruption(received[0])
    code = 128 + received[0] if code == _INTERRUPTED and received else code
    if argv is None and _is_hanging():
        _leave(code)
    return code


def _is_hanging() -> bool:
    """Return whether a thread was left behind in a library that never came back."""
    return any(thread.name.startswith(_THREADS) for thread in threading.enumerate())


def _leave(code: int) -> NoReturn:
    """End the process without waiting for a library: its destructors may hang or crash then."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run(arguments: list[str]) -> int:
    from edgeunet.cli import verbs

    verbs.register(app)
    command = typer.main.get_command(app)
    verb = next((word for word in arguments if not word.startswith("-")), "")
    try:
        result = command.main(args=arguments, prog_name="edgeunet", standalone_mode=False)
        # Here, because at the interpreter's end a full disk would be a traceback.
        sys.stdout.flush()
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except BrokenPipeError:
        # The reader of stdout has closed it; avoid a second error when the interpreter exits.
        console.drop_stdout()
        return 1
    except OSError as error:
        path = f"{error.filename}: " if error.filename else ""
        hint = _OS_HINTS.get(error.errno or 0, "check the path and the disk")
        if not error.filename:
            # It may be stdout itself, which the interpreter would try once more at exit.
            console.drop_stdout()
        raise EdgeUnetError(f"{path}{error.strerror or error}", hint=hint) from error
    except MemoryError as error:
        what = f": {error}" if str(error) else ""
        raise EdgeUnetError(
            f"out of memory{what}", hint="use a smaller --size or --width"
        ) from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        purpose = f"edgeunet {verb}".rstrip()
        raise MissingPackageError(package, purpose=purpose, extra=EXTRAS[package]) from error
    except TyperException as error:
        known = set(getattr(command, "commands", {}))
        page = f"edgeunet {verb} --help" if verb in known else "edgeunet --help"
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            return 2
        return _report(error.format_message().replace("\n", " "), f"see: {page}", error.exit_code)
    if result == _INTERRUPTED:
        # Typer turns Ctrl-C into this number without a word.
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, so that files are cleaned up.

    Yields the list of the signals received. Ignored signals stay ignored (as under ``nohup &``),
    and a program that calls ``main`` keeps its own handlers.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    wanted = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    replaced = {
        number: usual for number, usual in wanted.items() if signal.getsignal(number) is usual
    }
    if threading.current_thread() is not threading.main_thread():
        replaced.clear()
    for number in replaced:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, usual in replaced.items():
            signal.signal(number, usual)


def _report_interruption(number: int) -> int:
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    return _report(what, "run the command again to start over", 128 + number)


def _report(message: str, hint: str, exit_code: int) -> int:
    """Write the two lines of a failure, and return the exit code."""
    one_line = " ".join(without_passwords(shown(message)).split())
    with contextlib.suppress(OSError, ValueError):
        print(f"error: {one_line}\nhint: {' '.join(hint.split())}", file=sys.stderr)
    return exit_code
