"""Graphs of stages, and what onnxruntime was seen to allocate for them: a file for tests.

``python -m benchmarks.emulated --record FILE`` writes it. It holds the graphs themselves, so that
reading it needs neither torch nor an export.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgeunet.files import replacing_file
from edgeunet.graph.summary import GraphView

RECORD = Path(__file__).parent / "recorded.json.gz"


@dataclass(frozen=True)
class Trace:
    """One stage on one machine.

    kept: the weights packed into the arena, in bytes. events: an allocation in bytes, or
    ``-1 - i``, which frees the one at position i.
    """

    kept: list[int]
    events: list[int]


@dataclass(frozen=True)
class Record:
    """graphs: the stages of each case, such as ``unetmm-int8-whole``. traces: of each machine and
    case, such as ``cortex-a76-unetmm-int8-whole``, one for every stage.
    """

    graphs: dict[str, list[GraphView]]
    traces: dict[str, list[Trace]]


def write_record(path: Path, record: Record) -> None:
    with replacing_file(path) as beside:
        # Without a time, equal records are equal files.
        beside.write_bytes(gzip.compress(msgspec.json.encode(record), mtime=0))


def read_record(path: Path = RECORD) -> Record:
    return msgspec.json.decode(gzip.decompress(path.read_bytes()), type=Record)
