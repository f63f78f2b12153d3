"""What a graph or a bundle answers on an emulated processor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeunet.specs import Array
from tests.emulated.inside import ANSWERS, GIVEN
from tests.emulated.machines import Machine

_LONGEST_SECONDS = 600


@dataclass(frozen=True)
class Answers:
    """arrays: by output; of a bundle by frame and output. processor: the class it was taken for."""

    arrays: dict[str, Array]
    processor: str
    notes: tuple[str, ...]


def run_graph(
    machine: Machine, graph: Path, feeds: Mapping[str, Array], folder: Path, cpuinfo: str = ""
) -> Answers:
    """Run an ONNX file once. cpuinfo: what the machine is told that it is, if it is to be wrong."""
    return _run(machine, {"graph": str(graph)}, feeds, folder, cpuinfo)


def run_bundle(
    machine: Machine, bundle: Path, frames: Mapping[str, Array], folder: Path, cpuinfo: str = ""
) -> Answers:
    """Run a bundle on each frame, (H, W, 3) uint8 BGR."""
    return _run(machine, {"bundle": str(bundle)}, frames, folder, cpuinfo)


def _run(
    machine: Machine,
    what: Mapping[str, str],
    given: Mapping[str, Array],
    folder: Path,
    cpuinfo: str,
) -> Answers:
    arrays: dict[str, Any] = dict(given)
    np.savez(folder / GIVEN, **arrays)
    order: dict[str, Any] = {**what, "folder": str(folder), "cpuinfo": cpuinfo or machine.cpuinfo}
    done = machine.run("tests.emulated.inside", json.dumps(order), timeout_seconds=_LONGEST_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{machine.name} failed with {done.returncode}: {done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Answers(dict(np.load(folder / ANSWERS)), said["processor"], tuple(said["notes"]))
