"""References of a document: what stands in backticks, and whether the project has it.

What counts as a reference, in this order:

1. A command: ``edgeunet VERB --option``, ``python -m benchmarks.NAME``, ``pip install
   "edgeunet[extra]"``.
2. ``--option``: of a verb that the same paragraph, list item or table row names, else of any verb
   or benchmark.
3. A path: it has a slash, or ends in a suffix of the project's files. It is looked for beside the
   document, in the checkout, in ``edgeunet/``, ``benchmarks/`` and ``tests/``; without a slash,
   anywhere. NAME and other placeholders stand for anything.
4. A dotted name: of a module, of a class, or of a file (``provider.offers``).
5. ``name()``: a function, a class or a method.
6. A private name: defined in a file that the same paragraph names.
7. Any other single word: defined in the sources, or a string in them.

Numbers, lists, formulas and sentences are none. Words of other projects, and files that users have
or commands write, are listed here; nothing else is let through.
"""

from __future__ import annotations

import builtins
import fnmatch
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.house.definitions import benchmark_options, definitions, extras, files
from tests.house.source import PACKAGE, ROOT
from tests.house.test_owners import OWNERS

DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("export", "calibration", "benchmarks", "tests")),
)

# What other projects call so, and words of Python and TOML; packages are those of test_owners.py.
FOREIGN = {
    "fastNlMeansDenoisingColored", "bm3d_rgb", "numpy.random.default_rng", "nvidia-jetpack",
    "opencv-python", "onnxruntime.quantization", "assert", "true", "false", "null",
    "**kwargs", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_",
}  # fmt: skip
# Folders and files of a user, and what commands write.
USERS = {
    "noisy/", "clean/", "images/", "labels/", "camvid/val", "demo/", ".venv", "noisy.mkv",
    "clean.mkv", "denoised.mkv", "burst.mkv", "side-by-side.mp4", "with-memory.mp4", "still.png",
    "report.html", "report.json", "before-after.html", "calibration/street/",
    "calibration/street.toml", "engines/NAME.plan", "engines/NAME.json", "cam.bundle",
}  # fmt: skip
# These stand for what a reader puts there.
PLACEHOLDERS = {
    "BUNDLE", "DATA", "DIR", "FILE", "FOLDER", "INPUT", "KODAK", "MODEL", "NAME", "NETWORK",
    "PAIRS", "RECIPE", "SCRIPT", "SET", "SOURCE", "URBAN100", "VERB", "WIDTH",
}  # fmt: skip
PROGRAMS = {"cat", "make", "pytest", "torchrun", "accelerate", "sudo", "trtexec"}

_SUFFIXES = ("py", "md", "toml", "csv", "svg", "json", "safetensors", "txt", "mkv", "mp4", "png",
             "jpg", "html", "bundle")  # fmt: skip
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"``(.+?)``|`([^`]+?)`", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"[\w.*-]*(?:/[\w.*-]+)*/?")
_DRAWN_PATH = re.compile(r"(?<![\w/.])[a-z_]+(?:/[a-z_]+)+(?:\.[a-z]+)?(?![\w/])")
_NAME = re.compile(r"_*[A-Za-z]\w*")
_DOTTED = re.compile(r"\w+(?:\[\])?(?:\.\w+(?:\[\])?)+|\w+\[\]")
_HYPHENED = re.compile(r"[A-Za-z]\w*(?:-[\w*]+)+")


@dataclass(frozen=True)
class Place:
    """Where a reference stands. options: verb -> its options, as typer has them."""

    document: Path
    block: str
    options: Mapping[str, frozenset[str]]


def blocks(text: str) -> Iterator[str]:
    """Yield paragraphs, list items and table rows, without fenced blocks."""
    block = ""
    for line in _FENCE.sub("\n", text).splitlines():
        begins = re.match(r" *(?:[-*] |\d+\. |\||#)", line)
        if not line.strip() or begins:
            if block:
                yield block
            block = ""
        block += line + "\n"
    if block.strip():
        yield block


def spans(block: str) -> list[str]:
    return [" ".join((double or single).split()) for double, single in _SPAN.findall(block)]


def problems(text: str, document: Path, options: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield a sentence for every reference of a document's text that leads nowhere."""
    for block in blocks(text):
        place = Place(document, block, options)
        for span in spans(block):
            reason = problem(span, place)
            if reason:
                yield f"`{span}`: {reason}"
    for language, content in _FENCE.findall(text):
        if not language:
            for path in _DRAWN_PATH.findall(content):
                if not _file_of(path, document):
                    yield f"`{path}` in a drawing: there is no such file"
    for target in _LINK.findall(text):
        reason = _link_problem(target, document, text)
        if reason:
            yield f"({target}): {reason}"


def problem(span: str, place: Place) -> str | None:
    """Return why a reference leads nowhere; None if it leads somewhere or is no reference."""
    if re.fullmatch(r"(['\"]).*\1", span):
        span = span[1:-1]
    span = span.removesuffix("...").strip()
    if span in FOREIGN | USERS | PLACEHOLDERS or span in OWNERS:
        return None
    if " " in span and not span.startswith(("--", "[")):
        return _command_problem(span, place)
    if span.startswith("--"):
        return _option_problem(span, place)
    if span.startswith("["):
        return _table_problem(span, place)
    call = re.fullmatch(r"([\w.]+)\(.*\)", span)
    if call:
        return _call_problem(call[1])
    name, equals, _ = span.partition("=")
    if equals:
        return problem(name, place)
    if "://" in span:
        scheme = span.partition("://")[0]
        return None if scheme in definitions().words else f"there is no source {scheme}://"
    if span.endswith(":"):
        return problem(span[:-1], place)
    if _is_path(span):
        return _path_problem(span, place)
    if _DOTTED.fullmatch(span) and not re.fullmatch(r"[\d.e-]+", span):
        return dotted_problem(span)
    if _NAME.fullmatch(span) or _HYPHENED.fullmatch(span):
        return _word_problem(span, place)
    return None


def _is_path(span: str) -> bool:
    if not _PATH.fullmatch(span) or span.endswith("-"):
        return False
    return "/" in span or span.rpartition(".")[2] in _SUFFIXES


def _command_problem(span: str, place: Place) -> str | None:
    try:
        words = shlex.split(span)
    except ValueError:
        return None  # a sentence with an apostrophe
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        reason = problem(words.pop(0), place)
        if reason:
            return reason
    named = [word.strip("[]") for word in words if word.strip("[]").startswith("--")]
    if words[0] == "edgeunet" and len(words) > 1 and not words[1].startswith("-"):
        if words[1] not in place.options:
            return f"there is no verb {words[1]}"
        known = place.options[words[1]]
        return next((f"{words[1]} has no {one}" for one in named if one not in known), None)
    if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
        script = words[2].removeprefix("benchmarks.")
        if not (ROOT / "benchmarks" / f"{script}.py").is_file():
            return f"there is no {words[2]}"
        known = benchmark_options(script)
        return next((f"{words[2]} has no {one}" for one in named if one not in known), None)
    if words[:2] == ["pip", "install"]:
        wanted = re.findall(r"(?:edgeunet|\.)\[([\w,]+)\]", span)
        return next(
            (f"there is no extra {one}" for text in wanted for one in text.split(",")
             if one not in extras()), None)  # fmt: skip
    return None


def _option_problem(span: str, place: Place) -> str | None:
    named = re.findall(r"--[a-z][a-z0-9-]*", span)
    in_block = spans(place.block)
    verbs = [one.split()[1] for one in in_block if one.startswith("edgeunet ")]
    known = {option for verb in verbs for option in place.options.get(verb, ())}
    scripts = re.findall(r"benchmarks\.(\w+)|`(\w+)\.py`", place.block)
    every = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    for script in {first or second for first, second in scripts} & every:
        known |= benchmark_options(script)
    if not known:
        known = set().union(*place.options.values(), *map(benchmark_options, every))
    wrong = [option for option in named if option not in known]
    where = " or ".join(sorted(set(verbs))) or "any verb"
    return f"{where} has no {wrong[0]}" if wrong else None


def _table_problem(span: str, place: Place) -> str | None:
    match = re.fullmatch(r"\[+([a-z_.]+)\]+(?: (\w+).*)?", span)
    if not match:
        return None
    found = definitions()
    first, *rest = match[1].split(".")
    structs = [fields for name, fields in found.members.items() if name.endswith("Table")]
    declared = first in found.members["Recipe"] | found.members["CalibrationSet"] and all(
        any(part in fields for fields in structs) for part in rest
    )
    if match[1] not in found.toml_tables and not declared:
        return f"no TOML file has [{match[1]}]"
    return _word_problem(match[2], place) if match[2] else None


def _call_problem(name: str) -> str | None:
    if name in FOREIGN or hasattr(builtins, name):
        return None
    if "." in name:
        return dotted_problem(name)
    defined = definitions().names
    return None if name in defined else f"nothing called {name} is defined"


def _file_of(span: str, document: Path) -> Path | None:
    pattern = _pattern(span.removeprefix("./"))
    bases = (document.parent, ROOT, PACKAGE, ROOT / "benchmarks", ROOT / "tests")
    for base in bases:
        path = base / pattern
        if path.exists():
            return path
        if "/" in pattern and "." not in pattern and path.with_suffix(".py").exists():
            return path.with_suffix(".py")
        if "*" in pattern and next(iter(base.glob(pattern)), None):
            return next(iter(base.glob(pattern)))
    if "/" in pattern:
        return None
    return next((path for path in sorted(files()) if fnmatch.fnmatch(path.name, pattern)), None)


def _pattern(span: str) -> str:
    """Return a name with every placeholder made a ``*``."""
    for word in PLACEHOLDERS:
        span = re.sub(rf"(?<![A-Z]){word}(?![A-Z])", "*", span)
    return span


def _path_problem(span: str, place: Place) -> str | None:
    if re.fullmatch(rf"\.({'|'.join(_SUFFIXES)})", span):
        return None
    return None if _file_of(span, place.document) else "there is no such file"


def dotted_problem(span: str) -> str | None:
    if span in FOREIGN:
        return None
    found = definitions()
    parts = span.replace("[]", "").split(".")
    if parts[0] in ("edgeunet", "benchmarks", "tests"):
        return _module_problem(parts)
    first, *rest = [part for part in parts if not part.isdigit()] or [""]
    if first in found.members:
        missing = [part for part in rest if part not in found.members[first]]
        return f"{first} has no {missing[0]}" if missing else None
    modules = [path for path in found.by_file if path.stem == first]
    if modules and rest and any(rest[0] in found.of_module(path) for path in modules):
        return None
    missing = [part for part in (first, *rest) if not found.knows(part)]
    return f"nothing is called {missing[0]}" if missing else None


def _module_problem(parts: list[str]) -> str | None:
    path = ROOT / parts[0]
    for index, part in enumerate(parts[1:], start=1):
        if (path / part).is_dir():
            path = path / part
            continue
        module = path / f"{part}.py"
        rest = parts[index + 1 :] if module.is_file() else parts[index:]
        module = module if module.is_file() else path / "__init__.py"
        known = definitions().of_module(module) | _exported(module)
        if module == PACKAGE / "__init__.py":
            known |= definitions().of_module(PACKAGE / "api.py")
        missing = [name for name in rest[:1] if name not in known]
        if len(rest) > 1 and not missing:
            members = definitions().members.get(rest[0], frozenset())
            missing = [name for name in rest[1:2] if name not in members]
        return f"{module.relative_to(ROOT)} has no {missing[0]}" if missing else None
    return None


def _exported(module: Path) -> frozenset[str]:
    """Return what a module's ``__all__`` names."""
    if not module.is_file():
        return frozenset()
    listed = re.search(r"__all__ = \[(.*?)\]", module.read_text(encoding="utf-8"), re.DOTALL)
    return frozenset(re.findall(r"\"(\w+)\"", listed[1])) if listed else frozenset()


def _word_problem(word: str, place: Place) -> str | None:
    found = definitions()
    if word.startswith("_"):
        named = [_file_of(span, place.document) for span in spans(place.block) if _is_path(span)]
        held = set().union(*(found.of_module(path) for path in named if path))
        return None if word in held else "no file that is named beside it defines this"
    pattern = _pattern(word)
    if "*" in pattern:
        return None if fnmatch.filter(found.words, pattern) else "nothing is called so"
    known = found.knows(word) or word in place.options
    # A module's own name, and a folder's.
    known = known or any(word in (path.stem, path.parent.name) for path in files())
    return None if known else "nothing is called so"


def _link_problem(target: str, document: Path, text: str) -> str | None:
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    path = document.parent / name if name else document
    if not path.exists():
        return "there is no such file"
    if anchor:
        content = path.read_text(encoding="utf-8") if name else text
        headings = re.findall(r"^#+ (.+)$", content, re.MULTILINE)
        if anchor not in {_slug(heading) for heading in headings}:
            return "there is no such heading"
    return None


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
