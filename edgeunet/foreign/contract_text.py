"""Read what the user says about the tensors of a foreign network.

    --input  NAME=nchw,rgb,0..1,mean=0.485,0.456,0.406,std=0.229,0.224,0.225
    --input  NAME=fill=0.1
    --input  NAME=earlier=1
    --input  NAME=frames=5
    --input  NAME=level=25/255
    --output NAME=image|labels|logits|vector|none

Every word may be left out. Numbers after ``mean=`` and ``std=`` are one, or one per channel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

from edgeunet.contracts import Colours, Layout, OutputKind, ResizeRule, ValueRange
from edgeunet.errors import UsageError, near_match

NONE = "none"
"""The word for an output that is not wanted."""

MOST_FRAMES = 32
"""The most frames that a network may read at once."""

_LAYOUTS: tuple[str, ...] = get_args(Layout)
_COLOURS: tuple[str, ...] = get_args(Colours)
_RULES: tuple[str, ...] = get_args(ResizeRule)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
_INPUT_EXAMPLE = "NAME=nchw,rgb,0..1,mean=0.485,0.456,0.406,std=0.229,0.224,0.225"
_OUTPUT_EXAMPLE = "NAME=image,rgb,0..1 or NAME=logits,linear"


@dataclass(frozen=True)
class Said:
    """What the user said about one tensor; None for what was left open.

    frames, level, earlier: of inputs; see ``ForeignInput``.
    kind, left_out: of outputs.
    """

    name: str
    layout: Layout | None = None
    colours: Colours | None = None
    low_high: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fill: float | None = None
    frames: int = 1
    level: float | None = None
    earlier: int = 0
    kind: OutputKind | None = None
    left_out: bool = False
    resize: ResizeRule | None = None
    threshold: float | None = None

    def values(self, found: ValueRange) -> ValueRange:
        """Return a range with what the user said in place of what was found."""
        low, high = self.low_high or (found.low, found.high)
        return ValueRange(
            low=low, high=high, mean=self.mean or found.mean, std=self.std or found.std
        )


@dataclass(frozen=True)
class SaidContract:
    """What the user said about all tensors."""

    inputs: tuple[Said, ...] = ()
    outputs: tuple[Said, ...] = ()


NOTHING_SAID = SaidContract()


def read_contract(inputs: Sequence[str], outputs: Sequence[str]) -> SaidContract:
    """Return the contract of ``--input`` and ``--output`` options.

    Raises UsageError for what cannot be read, or what is said twice.
    """
    return SaidContract(
        tuple(_once(inputs, "--input", _INPUT_WORDS, _INPUT_EXAMPLE)),
        tuple(_once(outputs, "--output", _OUTPUT_WORDS, _OUTPUT_EXAMPLE)),
    )


def _once(texts: Sequence[str], option: str, words: Sequence[str], example: str) -> list[Said]:
    found: dict[str, Said] = {}
    for text in texts:
        said = _read(text, option, words, example)
        if said.name in found:
            raise UsageError(
                f"{option} {said.name} is given twice", hint="say all of it once, with commas"
            )
        found[said.name] = said
    return list(found.values())


_SHARED = (*_LAYOUTS, *_COLOURS, "LOW..HIGH", "mean=", "std=")
_INPUT_WORDS = (*_SHARED, "fill=", "earlier=", "frames=", "level=")
_OUTPUT_WORDS = (*(str(kind) for kind in OutputKind), NONE, *_SHARED, *_RULES, "threshold=")


def _read(text: str, option: str, words: Sequence[str], example: str) -> Said:
    name, equals, rest = text.partition("=")
    if not equals or not name or not rest:
        raise UsageError(
            f"{option} {text!r} does not say what a tensor is", hint=f"like {option} {example}"
        )
    said = Said(name)
    for part in _parts(rest):
        known = _with_word(said, part, words)
        if known is None:
            raise UsageError(
                f"{option} {name}: {part!r} is not known",
                hint=f"{near_match(part, words)}known: {', '.join(words)}",
            )
        said = known
    if said.low_high is not None and said.low_high[0] >= said.low_high[1]:
        raise UsageError(
            f"{option} {name}: {said.low_high[0]:g}..{said.low_high[1]:g} is no range",
            hint="give the value of black, then the larger one of white, like 0..1",
        )
    if said.std is not None and not all(value > 0 for value in said.std):
        raise UsageError(f"{option} {name}: std must be above 0", hint="like std=0.229,0.224,0.225")
    given = [said.fill is not None, said.frames > 1, said.earlier > 0]
    if sum(given) > 1:
        raise UsageError(
            f"{option} {name}: fill, frames and earlier contradict each other",
            hint="fill=N is the same for all frames, earlier=N one earlier frame, and frames=N "
            "several with the frame last",
        )
    if said.level is not None and (said.fill is not None or said.earlier):
        raise UsageError(
            f"{option} {name}: level contradicts fill and earlier",
            hint="level=N is one channel more of the input that is the frame",
        )
    for key, numbers in (("mean", said.mean), ("std", said.std)):
        if numbers is not None and len(numbers) not in (1, 3):
            raise UsageError(
                f"{option} {name}: {key} has {len(numbers)} numbers",
                hint="give one number, or one per channel: three",
            )
    return said


def _parts(rest: str) -> list[str]:
    """Return the words of a description; further numbers belong to the word before them."""
    parts: list[str] = []
    for word in rest.split(","):
        word = word.strip()
        if parts and re.fullmatch(rf"{_NUMBER}(?:/{_NUMBER})?", word) and "=" in parts[-1]:
            parts[-1] += f",{word}"
        elif word:
            parts.append(word)
    return parts


def _with_word(said: Said, word: str, words: Sequence[str]) -> Said | None:
    """Return what is known with one more word, or None for an unknown word."""
    bounds = _RANGE.fullmatch(word)
    if bounds is not None:
        return replace(said, low_high=(float(bounds[1]), float(bounds[2])))
    key, equals, rest = word.partition("=")
    if equals:
        return _with_numbers(said, key, rest) if f"{key}=" in words else None
    if word not in words:
        return None
    if word == NONE:
        return replace(said, left_out=True)
    if word in _LAYOUTS:
        return replace(said, layout=cast(Layout, word))
    if word in _COLOURS:
        return replace(said, colours=cast(Colours, word))
    if word in _RULES:
        return replace(said, resize=cast(ResizeRule, word))
    return replace(said, kind=OutputKind(word)) if word in OutputKind._value2member_map_ else None


def _with_numbers(said: Said, key: str, text: str) -> Said | None:
    numbers = [_fraction(part) for part in text.split(",")]
    given = tuple(number for number in numbers if number is not None)
    if len(given) != len(numbers):
        return None
    if key == "mean":
        return replace(said, mean=given)
    if key == "std":
        return replace(said, std=given)
    if len(given) != 1:
        return None
    if key in ("earlier", "frames"):
        return _with_count(said, key, given[0])
    if key == "level":
        return replace(said, level=given[0])
    return replace(said, fill=given[0]) if key == "fill" else replace(said, threshold=given[0])


def _with_count(said: Said, key: str, count: float) -> Said | None:
    least = 1 if key == "earlier" else 2
    if count != int(count) or not least <= count <= MOST_FRAMES:
        return None
    if key == "earlier":
        return replace(said, earlier=int(count))
    return replace(said, frames=int(count))


def _fraction(text: str) -> float | None:
    """Return a number, or a quotient like 25/255; None for anything else."""
    top, slash, bottom = text.partition("/")
    if not re.fullmatch(_NUMBER, top) or (slash and not re.fullmatch(_NUMBER, bottom)):
        return None
    if slash and float(bottom) == 0:
        return None
    return float(top) / float(bottom) if slash else float(top)
