"""Jetson modules: memory, compute capability, precisions and software, from ``boards.toml``.

That file has the figures and their sources. The reserved memory of all modules is computed by one
rule.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import msgspec

from edgeunet.errors import RecipeError, UsageError, near_match
from edgeunet.specs import Precision
from edgeunet.units import MIB

SCHEMA_VERSION = 1

_FILE = "boards.toml"
_BOARD_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_COMPUTE_CAPABILITY = re.compile(r"[1-9][0-9]*\.[0-9]")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)+")


@dataclass(frozen=True)
class Board:
    """One module, as it is used without a desktop.

    memory_bytes: physical memory, shared by CPU and GPU.
    reserved_bytes: carve-outs, the system, and the loaded CUDA, cuDNN and TensorRT libraries.
    carve_outs_measured: whether the carve-outs were measured or estimated; the rest is estimated.
    compute_capability: ``major.minor``.
    precisions: those that are faster than FP32 on the GPU.
    dla_cores: in hardware; not every TensorRT supports them.
    jetpack, tensorrt: releases, oldest first.
    """

    id: str
    name: str
    memory_bytes: int
    reserved_bytes: int
    carve_outs_measured: bool
    compute_capability: str
    precisions: tuple[Precision, ...]
    dla_cores: int
    jetpack: tuple[str, ...]
    tensorrt: tuple[str, ...]

    @property
    def usable_bytes(self) -> int:
        """The memory left for weights, activations and the program's own data."""
        return self.memory_bytes - self.reserved_bytes


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table whose keys are all known."""


class _Reserve(_Table, frozen=True):
    carve_out_mib: int
    carve_out_divisor: int
    system_mib: int
    libraries_mib: int

    def carve_outs_mib(self, board: _BoardTable) -> int:
        if board.visible_mib is not None:
            return board.memory_mib - board.visible_mib
        return max(self.carve_out_mib, board.memory_mib // self.carve_out_divisor)

    def total_mib(self, board: _BoardTable) -> int:
        return self.carve_outs_mib(board) + self.system_mib + self.libraries_mib


class _Family(_Table, frozen=True):
    compute_capability: str
    precisions: tuple[Precision, ...]


class _Release(_Table, frozen=True):
    tensorrt: str
    jetpack: tuple[str, ...]
    families: tuple[str, ...]


class _BoardTable(_Table, frozen=True, kw_only=True):
    id: str
    name: str
    family: str
    since: str
    memory_mib: int
    visible_mib: int | None = None
    dla_cores: int


class _Boards(_Table, frozen=True):
    schema: int
    reserve: _Reserve
    families: dict[str, _Family]
    releases: tuple[_Release, ...]
    boards: tuple[_BoardTable, ...]

    def software(self, board: _BoardTable) -> tuple[tuple[str, str], ...]:
        """Return (JetPack, TensorRT) of every release for a board; empty if it knows no since."""
        of_family = tuple(
            (jetpack, release.tensorrt)
            for release in self.releases
            if board.family in release.families
            for jetpack in release.jetpack
        )
        jetpacks = [jetpack for jetpack, _ in of_family]
        return of_family[jetpacks.index(board.since) :] if board.since in jetpacks else ()


def board_ids() -> tuple[str, ...]:
    """Return the ids of all boards, in the order of the file: old to new, small to large."""
    return tuple(_shipped())


def find_board(board_id: str) -> Board:
    """Return a board by its id. Raises UsageError when there is none."""
    if board_id not in board_ids():
        raise UsageError(
            f"there is no board {board_id!r}",
            hint=near_match(board_id, board_ids()) + f"known: {', '.join(board_ids())}",
        )
    return _shipped()[board_id]


def read_boards(text: bytes) -> tuple[Board, ...]:
    """Read and check the text of a ``boards.toml``. Raises RecipeError when it is not valid."""
    try:
        table = msgspec.toml.decode(text, type=_Boards)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(str(error)) from error
    problem = next(_problems(table), None)
    if problem is not None:
        raise _invalid(problem)
    return tuple(_board(table, board) for board in table.boards)


@functools.cache
def _shipped() -> dict[str, Board]:
    text = resources.files("edgeunet").joinpath(_FILE).read_bytes()
    return {board.id: board for board in read_boards(text)}


def _board(table: _Boards, board: _BoardTable) -> Board:
    family = table.families[board.family]
    software = table.software(board)
    return Board(
        id=board.id,
        name=board.name,
        memory_bytes=board.memory_mib * MIB,
        reserved_bytes=table.reserve.total_mib(board) * MIB,
        carve_outs_measured=board.visible_mib is not None,
        compute_capability=family.compute_capability,
        precisions=family.precisions,
        dla_cores=board.dla_cores,
        jetpack=tuple(jetpack for jetpack, _ in software),
        tensorrt=tuple(dict.fromkeys(tensorrt for _, tensorrt in software)),
    )


def _invalid(problem: str) -> RecipeError:
    return RecipeError(
        f"{_FILE} is not a valid list of boards: {problem}",
        hint="the file is a part of edgeunet: install it again, or undo what was edited",
    )


def _problems(table: _Boards) -> Iterator[str]:
    """Yield errors in the values; later checks rely on earlier ones."""
    if table.schema != SCHEMA_VERSION:
        yield f"schema is {table.schema}, this version reads {SCHEMA_VERSION}"
    reserve = table.reserve
    if min(reserve.carve_out_mib, reserve.system_mib, reserve.libraries_mib) < 0:
        yield "[reserve] must have no negative size"
    if reserve.carve_out_divisor < 1:
        yield "[reserve] carve_out_divisor must be at least 1"
    for name, family in table.families.items():
        if not _COMPUTE_CAPABILITY.fullmatch(family.compute_capability):
            yield f"compute_capability of family {name!r} must be like '8.7'"
        if not family.precisions or len(set(family.precisions)) != len(family.precisions):
            yield f"precisions of family {name!r} must name at least one, each once"
    jetpacks = [jetpack for release in table.releases for jetpack in release.jetpack]
    for version in (*jetpacks, *(release.tensorrt for release in table.releases)):
        if not _VERSION.fullmatch(version):
            yield f"{version!r} is not a version"
    for jetpack in jetpacks:
        if jetpacks.count(jetpack) > 1:
            yield f"JetPack {jetpack} is listed twice"
    for release in table.releases:
        for name in release.families:
            if name not in table.families:
                yield f"the release of TensorRT {release.tensorrt} names no known family: {name!r}"
    if not table.boards:
        yield "it has no [[boards]]"
    ids = [board.id for board in table.boards]
    for board in table.boards:
        if ids.count(board.id) > 1:
            yield f"two boards have the id {board.id!r}"
        yield from _board_problems(table, board)


def _board_problems(table: _Boards, board: _BoardTable) -> Iterator[str]:
    label = f"board {board.id!r}"
    if not _BOARD_ID.fullmatch(board.id):
        yield f"{label}: an id must be words of a-z and 0-9, joined by '-'"
    if not board.name.strip():
        yield f"{label} has no name"
    if board.family not in table.families:
        yield f"{label} is of no known family: {board.family!r}"
    if not table.software(board):
        yield f"{label}: since {board.since!r} is no release for family {board.family!r}"
    if board.visible_mib is not None and board.visible_mib >= board.memory_mib:
        yield f"{label}: visible_mib must be below memory_mib"
    if table.reserve.total_mib(board) >= board.memory_mib:
        yield f"{label} has no memory left after its reserve"
    if board.dla_cores < 0:
        yield f"{label}: dla_cores must not be negative"
