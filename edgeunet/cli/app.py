"""The verbs, and how any failure becomes two lines and an exit code.

Verb modules import nothing heavy at their top: what a verb needs is imported when it runs.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from edgeunet import __version__
from edgeunet.errors import EdgeUnetError

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

_OS_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder or file you may read and write",
    errno.EPERM: "choose a folder or file you may read and write",
    errno.ENOENT: "check the path",
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
    """Run one command line and return its exit code: 0, 1, 2 for usage, 130 for Ctrl-C."""
    from edgeunet.cli import verbs

    verbs.register(app)
    command = typer.main.get_command(app)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        result = command.main(args=arguments, prog_name="edgeunet", standalone_mode=False)
    except EdgeUnetError as error:
        return _report(error.message, error.hint, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        result = _INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout went away; the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        path = f"{error.filename}: " if error.filename else ""
        hint = _OS_HINTS.get(error.errno or 0, "check the path and the disk")
        return _report(f"{path}{error.strerror or error}", hint, 1)
    except TyperException as error:
        verb = next((word for word in arguments if not word.startswith("-")), "")
        known = set(getattr(command, "commands", {}))
        page = f"edgeunet {verb} --help" if verb in known else "edgeunet --help"
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            return 2
        return _report(error.format_message().replace("\n", " "), f"see: {page}", error.exit_code)
    if result == _INTERRUPTED:
        # Typer turns Ctrl-C into this number without a word.
        return _report("interrupted", "run the command again to start over", _INTERRUPTED)
    return result if isinstance(result, int) else 0


def _report(message: str, hint: str, exit_code: int) -> int:
    """Write the two lines every failure ends in."""
    one_line = " ".join(message.split())
    print(f"error: {one_line}\nhint: {' '.join(hint.split())}", file=sys.stderr)
    return exit_code
