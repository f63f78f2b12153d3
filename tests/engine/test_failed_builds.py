"""Builds that fail say why in one sentence, and plans from elsewhere are adopted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from edgeunet.bundle import Bundle
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.builder import build_plan
from edgeunet.engine.trt.bundles import ADOPTED, adopt_plan, build_bundle
from edgeunet.engine.trt.plans import plan_path, read_plan
from edgeunet.errors import EngineError, UsageError
from edgeunet.specs import Precision
from tests.bundle.tiny import tiny_bundle
from tests.engine.building import ORIN, refusal
from tests.engine.simulated_tensorrt import ERROR, WARNING, simulate

pytestmark = pytest.mark.usefixtures("own_cache")


class TestFailures:
    def broken(self, bundle: Bundle) -> Path:
        """The bundle's graph with an operator that nobody has."""
        path = bundle.path / "graph.onnx"
        model = onnx.load(path)
        model.graph.node[2].op_type = "NoSuchPool"
        model.graph.node[2].name = "the_mean"
        onnx.save(model, path)
        return path

    @pytest.mark.parametrize(
        ("version", "node"),
        [("8.6.2", "node number 2"), ("10.3.0", "node NoSuchPool 'the_mean'")],
    )
    def test_an_unsupported_node_is_named(self, bundle: Bundle, version: str, node: str) -> None:
        self.broken(bundle)
        error = refusal(bundle, simulate(version))
        assert error.message == (
            f"TensorRT {version} cannot read graph.onnx: {node}: No importer registered for op: "
            "NoSuchPool"
        )

    def test_a_file_that_is_no_graph(self, bundle: Bundle) -> None:
        (bundle.path / "graph.onnx").write_bytes(b"hello")
        error = refusal(bundle, simulate("10.3.0"))
        assert error.message == "graph.onnx holds no network that TensorRT 10.3.0 can see"

    def test_a_graph_that_is_not_the_stages(self, bundle: Bundle, tmp_path: Path) -> None:
        other = tiny_bundle(tmp_path / "other", 16, 16)
        (bundle.path / "graph.onnx").write_bytes(other.file("graph.onnx").read_bytes())
        error = refusal(bundle, simulate("10.3.0"))
        assert error.message.startswith("graph.onnx takes {'frame': (1, 16, 16, 3)}, and stage")

    @pytest.mark.parametrize(
        ("lines", "message", "hint"),
        [
            (
                [
                    (WARNING, "Tactic Device request: 806MB Available: 187MB. Device memory is "
                     "insufficient to use tactic."),
                    (WARNING, "Tactic Device request: 538MB Available: 166MB. Device memory is "
                     "insufficient to use tactic."),
                    (ERROR, "Error Code 10: Internal Error (Could not find any implementation for "
                     "node conv1 + relu.)"),
                ],
                "too little tactic memory (TACTIC_DRAM) to try a kernel: 538 MiB were asked for, "
                "166 MiB were there",
                "give more with --tactic-memory",
            ),
            (
                [(WARNING, "UNSUPPORTED_STATE: Skipping tactic 44 due to insufficient memory on "
                  "requested size of 1048576000 detected for tactic 0x6e.")],
                "too little tactic memory (TACTIC_DRAM) to try a kernel",
                "give more with --tactic-memory",
            ),
            (
                [(ERROR, "Tactic Selection: no tactics to implement the operation within "
                  "workspace limit.")],
                "too little workspace (WORKSPACE), in which a kernel keeps what it needs for "
                "itself",
                "give more with --workspace",
            ),
            (
                [(ERROR, "Error Code 1: Cuda Runtime (out of memory)")],
                "the device ran out of memory (TACTIC_DRAM bounds what a build takes)",
                "bound it with --tactic-memory 256MiB",
            ),
            (
                [(ERROR, "Error Code 10: Internal Error (Could not find any implementation for "
                  "node conv1 + relu.)")],
                "no kernel for node conv1 + relu",
                "try --optimization-level 5",
            ),
            ([(ERROR, "checkLinks::218")], "checkLinks::218", "try --optimization-level 5"),
            ([], "it gives no reason", "try --optimization-level 5"),
        ],
    )  # fmt: skip
    def test_a_build_that_fails_says_what_to_set(
        self, bundle: Bundle, lines: list[tuple[int, str]], message: str, hint: str
    ) -> None:
        error = refusal(bundle, simulate("10.3.0", failure=lines))
        assert error.message == f"TensorRT 10.3.0 cannot build stage 'frame': {message}"
        assert error.hint.startswith(hint)
        assert not plan_path(bundle, "frame").exists()

    def test_a_build_that_fails_leaves_the_older_plan(self, bundle: Bundle) -> None:
        build_bundle(bundle, simulate("10.3.0").provider, BuildOptions(), ORIN)
        before = plan_path(bundle, "frame").read_bytes()
        failing = simulate("10.3.0", failure=[(ERROR, "no")])
        with pytest.raises(EngineError):
            build_bundle(bundle, failing.provider, BuildOptions(), ORIN, force=True)
        assert plan_path(bundle, "frame").read_bytes() == before

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"optimization_level": 6}, "6 is not an optimization level"),
            ({"aux_streams": -1}, "-1 is not a number of auxiliary streams"),
            ({"workspace_bytes": 0}, "--workspace 0 leaves nothing to build with"),
            ({"tactic_bytes": 0}, "--tactic-memory 0 leaves nothing to build with"),
            ({"dla_core": -1}, "there is no DLA core -1"),
        ],
    )
    def test_impossible_options_are_refused(self, settings: dict[str, int], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            BuildOptions(**settings)  # type: ignore[arg-type]


class TestAdopting:
    def test_a_plan_of_trtexec_is_adopted_once_it_loads(
        self, bundle: Bundle, tmp_path: Path
    ) -> None:
        simulation = simulate("10.3.0")
        graph, (stage,) = bundle.path / "graph.onnx", bundle.manifest.stages
        built = build_plan(graph, stage, Precision.FP32, simulation.provider, BuildOptions(), ORIN)
        path = tmp_path / "frame.plan"
        path.write_bytes(built.plan)
        adopted = adopt_plan(
            bundle, "frame", path, simulation.provider, ORIN, lambda stage, plan: len(plan)
        )
        assert adopted.info.flags == (ADOPTED,)
        assert adopted.info.device_memory_bytes == len(built.plan)
        assert read_plan(bundle, "frame", simulation.provider, ORIN)[0] == built.plan
        (stage_plan,) = build_bundle(bundle, simulation.provider, BuildOptions(), ORIN)
        assert stage_plan.kept

    def test_plans_that_cannot_be_adopted(self, bundle: Bundle, tmp_path: Path) -> None:
        provider = simulate("10.3.0").provider
        path = tmp_path / "x.plan"

        def never(stage: Any, plan: bytes) -> int:
            raise EngineError("it does not load", hint="")

        with pytest.raises(UsageError, match="there is no stage 'core'") as caught:
            adopt_plan(bundle, "core", path, provider, ORIN, never)
        assert caught.value.hint == "known: frame"
        with pytest.raises(EngineError, match="there is no plan '.*x.plan'"):
            adopt_plan(bundle, "frame", path, provider, ORIN, never)
        path.write_bytes(b"no plan")
        with pytest.raises(EngineError, match="it does not load"):
            adopt_plan(bundle, "frame", path, provider, ORIN, never)
        assert not plan_path(bundle, "frame").exists()
