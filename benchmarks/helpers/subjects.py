"""Which networks, sizes and runs are compared, and what is built for them before anything runs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.helpers.peers import ONNXRUNTIME, OPENVINO, PEERS, write_plain_onnx
from edgeunet.bundle import Bundle
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.convert.network_graph import graphs_of_recipe
from edgeunet.convert.network_plan import planner_of
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.planning.requested_plan import choose_plan
from edgeunet.recipes import load_recipe
from edgeunet.specs import Array, Precision, Task
from edgeunet.units import format_size, parse_bytes

CHANNELS = 16
REFERENCE = "nafnet"
NETWORKS = (
    REFERENCE,
    "unetmm-full",
    "unet",
    "addunet",
    "unetmm-naf",
    "unetmm",
    "joint",
    "umc-shared",
    "umc-causal",
    "umc-dense",
)
SIZES = ((720, 1280), (1080, 1920), (2160, 3840))
PEER_NETWORKS = ("unetmm", REFERENCE, "joint")
PEER_SIZE = (1080, 1920)
BUDGETS = {
    ("unetmm", (1080, 1920)): "200MiB",
    ("joint", (1080, 1920)): "260MiB",
    ("unetmm", (2160, 3840)): "640MiB",
}
WHOLE, TILED = "whole", "tiled"

_PROBABILITY_LIMIT = 1e-4


@dataclass(frozen=True)
class Case:
    """One row. run: whole, tiled, or a peer's name. budget: of a tiled run, empty for none."""

    model: str
    size: tuple[int, int]
    precision: Precision
    run: str
    budget: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What names the row in the table."""
        return self.model, format_size(*self.size), str(self.precision), self.run, self.budget

    @property
    def request(self) -> PlanRequest:
        if self.run == WHOLE:
            return WHOLE_FRAME
        if self.budget:
            return PlanRequest(budget_bytes=parse_bytes(self.budget))
        return PlanRequest(auto=True)


def cases_of(model: str, size: tuple[int, int], *, peers: bool) -> list[Case]:
    """Return the rows of one network at one size."""
    found = [Case(model, size, p, run) for p in _PRECISIONS for run in (WHOLE, TILED)]
    if (model, size) in BUDGETS:
        found.append(Case(model, size, Precision.FP32, TILED, BUDGETS[model, size]))
    if peers:
        found += [Case(model, size, Precision.FP32, peer) for peer in PEERS]
    return found


_PRECISIONS = (Precision.FP32, Precision.FP16)


@dataclass(frozen=True)
class Difference:
    """Between two runs of one frame: in 8-bit steps of images, in the share of all bytes, in
    probabilities.
    """

    largest: int
    share: float
    probability: float

    def within(self, share: float) -> bool:
        return self.largest <= 1 and self.share < share and self.probability <= _PROBABILITY_LIMIT


class Subject:
    """One network at one frame size: its weights, plans and files, each made once."""

    def __init__(self, model: str, size: tuple[int, int], folder: Path) -> None:
        self.recipe = load_recipe(model).with_width(CHANNELS)
        self.size = size
        self._folder = folder

    @functools.cached_property
    def weights(self) -> Path:
        """Random weights. What begins at zero is drawn as well: a block times 0 hides errors."""
        path = self._folder / "random.safetensors"
        network = build_network(self.recipe)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in network.parameters():
                if not parameter.any():
                    parameter.normal_(0.0, 0.1, generator=generator)
        save_weights(network, self.recipe, path)
        return path

    def plan(self, case: Case) -> FramePlan:
        return choose_plan(self._planner(case.precision), case.request)

    def bundle(self, case: Case, plan: FramePlan) -> Bundle:
        order = ExportOrder(
            self.recipe, *self.size, case.precision, self.weights, request=case.request
        )
        return draft_bundle(order, self._folder / f"{'-'.join(case.key)}.bundle", plan=plan)

    def order(self, run: str, bundle: Bundle | None = None) -> dict[str, object]:
        """Return what a fresh process needs to run a bundle, or a peer."""
        graph = self._plain_onnx if run in (ONNXRUNTIME, OPENVINO) else None
        return {
            "run": run,
            "height": self.size[0],
            "width": self.size[1],
            "target": None if bundle is None else str(bundle.path),
            "model": self.recipe.name,
            "channels": CHANNELS,
            "weights": str(self.weights),
            "graph": None if graph is None else str(graph),
        }

    def difference(self, given: dict[str, Array], wanted: dict[str, Array]) -> Difference:
        largest = different = count = 0
        probability = 0.0
        for pathway in self.recipe.pathways:
            one, other = given[pathway.output], wanted[pathway.output]
            if pathway.head is Task.CLASSIFY:
                probability = max(probability, float(np.abs(one - other).max()))
                continue
            different += int(np.count_nonzero(one != other))
            count += one.size
            if pathway.head is Task.DENOISE:
                apart = np.maximum(one, other) - np.minimum(one, other)
                largest = max(largest, int(apart.max()))
        return Difference(largest, different / count if count else 0.0, probability)

    @functools.cached_property
    def _plain_onnx(self) -> Path:
        path = self._folder / "plain.onnx"
        write_plain_onnx(self.recipe, self.weights, self.size, path)
        return path

    @functools.cache  # noqa: B019 - a subject lives as long as its rows are made
    def _planner(self, precision: Precision) -> Planner:
        graphs = graphs_of_recipe(self.recipe, self.weights)
        return planner_of(graphs, *self.size, precision)
