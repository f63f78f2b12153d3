"""Networks of others as they are measured: their files, plans, bundles and runs."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from benchmarks.helpers.fresh import measurement_of
from benchmarks.helpers.peers import ONNXRUNTIME, open_peer
from edgeunet.bundle import Bundle
from edgeunet.choosing.foreign import ForeignChoice, choose_file
from edgeunet.convert.exporting import ExportOrder, draft_bundle, export_bundle
from edgeunet.convert.network_plan import planner_of
from edgeunet.foreign.contract_text import NOTHING_SAID
from edgeunet.graph.geometry import Geometry
from edgeunet.graph.stages import FrameGraph
from edgeunet.planning.frame_plan import FramePlan
from edgeunet.planning.planner import Planner
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.planning.requested_plan import choose_plan
from edgeunet.run.executor import Executor
from edgeunet.run.measured import FEWEST_FRAMES
from edgeunet.run.promises import promise_of
from edgeunet.specs import Precision
from edgeunet.units import format_size
from tests.foreign import plain_networks as plain
from tests.foreign import zoo_attention as attention
from tests.foreign import zoo_restorers as restorers
from tests.foreign import zoo_segmenters as segmenters
from tests.foreign.zoo import ZOO, house_graph
from tests.graph.foreign import frame_of
from tests.graph.plain_windows import run_stages, run_whole

AS_IT_COMES, WHOLE, TILED = "onnxruntime's own", "whole", "--tile auto"
ROUNDS = 2

_WIDE: Mapping[str, Callable[[], nn.Module]] = {
    "U-Net": lambda: plain.UNet(16),
    "Attention U-Net": lambda: segmenters.AttentionUNet(16),
    "DRUNet": lambda: restorers.DRUNet(16),
    "NAFNet": lambda: restorers.NAFNet(16),
    "MIMO-UNet": lambda: restorers.MIMOUNet(16),
    "LinkNet": lambda: segmenters.LinkNet(48),
    "ResNet U-Net": lambda: segmenters.ResUNet(32),
    "ConvNeXt U-Net": lambda: segmenters.ConvNeXtUNet(48),
    "MODNet": lambda: segmenters.MODNet(16),
    "DnCNN": lambda: plain.DnCNN(3, 32, 5),
    "RCAN": lambda: restorers.RCAN(16),
    "SRVGG": lambda: restorers.SRVGG(16),
    "SegFormer": lambda: segmenters.SegFormer(16),
    "Uformer": lambda: attention.Uformer(16),
}
NETWORKS = tuple(_WIDE)


class ForeignSubject:
    """One network at one frame size."""

    def __init__(self, name: str, size: tuple[int, int], folder: Path) -> None:
        """folder: where its file and bundles are put."""
        self.name, self.size, self._folder = name, size, folder
        animal = replace(ZOO[name], make=_WIDE.get(name, ZOO[name].make))
        self._path = animal.write(folder / "network.onnx", size)

    @property
    def size_text(self) -> str:
        return format_size(*self.size)

    @property
    def levels(self) -> int:
        """The number of resolutions that it has convolutions at: 1 without descents."""
        found = Geometry(self.choice.graphs.at(*self.size, Precision.FP32))
        read = (node.inputs[0] for node in found.nodes if node.op_type == "Conv")
        placed = (found.places.get(value.name or "") for value in read if value is not None)
        return len({place.stride for place in placed if place is not None})

    @functools.cached_property
    def choice(self) -> ForeignChoice:
        return choose_file(self._path, NOTHING_SAID, self.size)

    @functools.cached_property
    def _planner(self) -> Planner:
        return planner_of(self.choice.graphs, *self.size, Precision.FP32)

    def plan(self, run: str) -> FramePlan | None:
        """Return the plan of a run, None for onnxruntime's own."""
        if run == AS_IT_COMES:
            return None
        return self._planner.whole() if run == WHOLE else self._tiled

    @functools.cached_property
    def _tiled(self) -> FramePlan:
        return choose_plan(self._planner, PlanRequest(auto=True))

    def windows_text(self, plan: FramePlan) -> str:
        """Return the largest window of a plan; empty for whole frames."""
        windows = [one.window for one in plan.stages if one.window is not None]
        return format_size(*max(windows, key=lambda one: one[0] * one[1])) if windows else ""

    def largest_difference(self) -> float:
        """Return by how much windows and the whole frame differ, relative to the largest number.

        In floats, before images are rounded and classes chosen, with windows as ``--tile auto``
        takes them.
        """
        model = house_graph(self._path, self.size)
        graph = FrameGraph(model)
        planner = Planner(graph, *self.size, multiple=1, levels=graph.levels, name=self.name)
        plan = planner.comfortable()
        frame = frame_of(*self.size)
        given = run_stages(
            [one.stage for one in plan.stages], frame, [one.window for one in plan.stages]
        )
        wanted = run_whole(model, frame)
        return max(
            float(np.abs(given[name] - whole).max() / np.abs(whole).max())
            for name, whole in wanted.items()
        )

    def bundle(self, run: str) -> Bundle:
        """Return the bundle of a run. That of windows is compared with the file."""
        return self._whole_bundle if run == WHOLE else self._tiled_bundle

    @functools.cached_property
    def _whole_bundle(self) -> Bundle:
        order = ExportOrder(self.choice.network, *self.size, Precision.FP32, request=WHOLE_FRAME)
        return draft_bundle(order, self._folder / "whole.bundle", graphs=self.choice.graphs)

    @functools.cached_property
    def _tiled_bundle(self) -> Bundle:
        request = PlanRequest(auto=True)
        order = ExportOrder(self.choice.network, *self.size, Precision.FP32, request=request)
        return export_bundle(
            order,
            self._folder / "tiled.bundle",
            open_runner=Executor,
            graphs=self.choice.graphs,
        ).bundle

    @property
    def parity_db(self) -> str:
        """The least PSNR of images to the file's own; empty for exact ones and for classes."""
        found = [
            one.value
            for one in self._tiled_bundle.manifest.parity
            if one.metric == "psnr_db" and one.value is not None
        ]
        return f"{min(found):.1f}" if found else ""

    def predicted_bytes(self, run: str) -> int | None:
        """Return what is predicted for this processor, None for onnxruntime's own."""
        plan = self.plan(run)
        if plan is None:
            return None
        return promise_of(self.bundle(run).manifest).predicted_bytes or plan.prediction.total_bytes

    def measured_bytes(self, run: str) -> int:
        """Return what a process of its own took."""
        return measurement_of(self._order(run), frames=FEWEST_FRAMES).measured_bytes

    def _order(self, run: str) -> dict[str, object]:
        own = run == AS_IT_COMES
        return {
            "run": ONNXRUNTIME if own else run,
            "height": self.size[0],
            "width": self.size[1],
            "graph": str(self._path) if own else None,
            "target": None if own else str(self.bundle(run).path),
        }

    def time_ratios(self) -> dict[str, float]:
        """Return processor time over that of onnxruntime's own, on one thread, run in turns."""
        image = frame_of(*self.size)[0]
        executors = {run: Executor(self.bundle(run), threads=1) for run in (WHOLE, TILED)}
        order = {"graph": str(self._path), "threads": 1}
        runs: dict[str, Callable[[], object]] = {
            AS_IT_COMES: open_peer(ONNXRUNTIME, order, image),
            **{run: functools.partial(one.run, image) for run, one in executors.items()},
        }
        taken: dict[str, list[float]] = {run: [] for run in runs}
        for number in range(ROUNDS + 1):
            for run, once in runs.items():
                start = time.process_time()
                once()
                if number:
                    taken[run].append(time.process_time() - start)
        for executor in executors.values():
            executor.close()
        return {
            run: statistics.median(a / b for a, b in zip(seconds, taken[AS_IT_COMES], strict=True))
            for run, seconds in taken.items()
        }
