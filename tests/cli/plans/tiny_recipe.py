"""A network that plans are made of in a moment: two levels, few channels."""

from __future__ import annotations

from pathlib import Path

from edgeunet.recipes import folder

VERBS = ["memory", "export"]
_SIZE = ("--size", "120x190")


def write_tiny_recipe(path: Path) -> Path:
    text = (folder("export") / "unetmm.toml").read_text()
    lines = [line for line in text.splitlines() if not _of_weights(line)]
    path.write_text("\n".join(_small(line) for line in lines))
    return path


def words(verb: str, recipe: Path) -> list[object]:
    """Return the words of a command that plans frames of 120x190."""
    target = [recipe] if verb == "memory" else ["--model", recipe, "--random-weights"]
    return [verb, *target, *_SIZE, "--width", "4"]


def _of_weights(line: str) -> bool:
    """Whether a line heads [weights] or names the file of a width."""
    return line.startswith("[weights]") or line.partition(" ")[0].isdecimal()


def _small(line: str) -> str:
    blocks = {"encoder_blocks": "[1, 1]", "middle_blocks": "1", "decoder_blocks": "[1, 1]"}
    key = line.partition(" ")[0]
    if key == "name":
        return 'name = "tiny"'
    return f"{key} = {blocks[key]}" if key in blocks else line
