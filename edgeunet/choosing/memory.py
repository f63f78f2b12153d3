"""Analyse the memory of a recipe, a bundle, an ONNX file or a torch module."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edgeunet.choosing.networks import is_bundle, missing_package
from edgeunet.choosing.plan_choice import Windows, plan_request
from edgeunet.errors import UsageError
from edgeunet.names import shown
from edgeunet.planning.request import WHOLE_FRAME, PlanRequest
from edgeunet.processors import processors_of
from edgeunet.specs import Precision
from edgeunet.units import format_size

if TYPE_CHECKING:
    from edgeunet.analysis.memory_report import MemoryReport
    from edgeunet.convert.network_graph import Graphs
    from edgeunet.recipes import Recipe


@runtime_checkable
class TorchModule(Protocol):
    """A ``torch.nn.Module``, described by two of its methods because torch is not imported here."""

    def forward(self, *_: Any) -> Any: ...

    def state_dict(self) -> Any: ...


@dataclass(frozen=True)
class Wanted:
    """The options of an analysis; None where the user gave none.

    size: (height, width) in pixels.
    budget_bytes, windows, board: as for ``plan_request``.
    cpu: the processors that the plan is for; see ``processors.processors_of``.
    workers: how many windows run at a time.
    """

    size: tuple[int, int] | None = None
    precision: Precision | None = None
    width: int | None = None
    budget_bytes: int | None = None
    windows: Windows | None = None
    board: str | None = None
    cpu: str | None = None
    workers: int | None = None

    @property
    def fixed(self) -> bool:
        """Whether the user named a budget, windows or processors, which only a recipe can follow.

        A board names its processors, and can also be asked about what is planned already.
        """
        cpu = None if self.board is not None else self.cpu
        return any(one is not None for one in (self.budget_bytes, self.windows, cpu, self.workers))

    def request(self) -> PlanRequest | None:
        """Return the plan; None when no plan is wanted. Raises UsageError as ``plan_request``."""
        request = plan_request(
            budget_bytes=self.budget_bytes,
            windows=self.windows,
            board=self.board,
            workers=self.workers,
        )
        return request if self.fixed or self.board is not None else None

    def refuse_for(
        self, name: str, kind: str, *, size: tuple[int, int] | None, precision: str
    ) -> None:
        """Raise UsageError for options that a finished network cannot follow.

        name: what the user called it. kind: what it is, as text: "file", "module" or "bundle".
        size: its (height, width) in pixels; None if it has no frame input.
        precision: its precision, as text.
        """
        hint = f"leave the option out, or give a model's name instead of a {kind}"
        if self.size is not None and self.size != size:
            fixed = "has no frame input" if size is None else f"is fixed at {format_size(*size)}"
            raise UsageError(
                f"a size of {format_size(*self.size)} contradicts {name}, which {fixed}", hint=hint
            )
        if self.precision is not None and self.precision != precision:
            raise UsageError(
                f"precision {self.precision} contradicts {name}, which is {precision}", hint=hint
            )
        if self.fixed:
            raise UsageError(
                f"a budget, windows or processors cannot change {name}: it is planned already",
                hint=hint,
            )
        if self.width is not None:
            raise UsageError(f"a width cannot change {name}: its channels are fixed", hint=hint)


@dataclass(frozen=True)
class Subject:
    """The result of an analysis.

    runnable: a bundle or a file that can be run to measure it, if any.
    whole: for a plan, the report of the whole frame.
    runs_whole: the plan that was wanted, when the whole frame fits; else None.
    taken: sizes that were taken for axes that a file leaves open, as text; "" if there are none.
    """

    report: MemoryReport
    runnable: Path | None
    whole: MemoryReport | None = None
    runs_whole: PlanRequest | None = None
    taken: str = ""


def subject_of(
    target: str | TorchModule,
    wanted: Wanted,
    *,
    folder: Path | None = None,
    compares: bool = False,
) -> Subject:
    """Analyse a network by name, or a torch module.

    target: a recipe's name or path, a bundle folder, an ONNX file, or a module.
    folder: a recipe's bundle, or a file with open axes set, is written there, so that it can be
        run; None writes none.
    compares: also analyse the whole frame of a plan.

    Raises an EdgeUnetError for a wrong name or file, or for options that it cannot follow.
    """
    request = wanted.request()
    if not isinstance(target, str):
        return _of_module(target, wanted)
    path = Path(target)
    if path.suffix.lower() == ".onnx":
        return _of_file(path, wanted, request, folder, compares=compares)
    if is_bundle(target):
        return _of_bundle(path, wanted)
    return _of_recipe(target, wanted, request, folder, compares=compares)


def _of_file(
    path: Path, wanted: Wanted, request: PlanRequest | None, folder: Path | None, *, compares: bool
) -> Subject:
    """Analyse a file as it is; with a budget, windows or another size, as it would be exported."""
    from edgeunet.analysis.memory_report import analyse
    from edgeunet.graph.onnx_file import check_weights, read_onnx, with_fixed_axes
    from edgeunet.graph.summary import in_running_order, view_of_model

    name = shown(path.name)
    model, axes = read_onnx(path, wanted.size)
    report = analyse(in_running_order(view_of_model(model, name=path.stem)), model=name)
    other_size = report.frame is not None and wanted.size not in (None, report.frame)
    if wanted.width is None and (wanted.fixed or other_size):
        return _of_foreign(path, wanted, request, folder, compares=compares)
    if axes.shapes and report.frame is None:
        # The size has become that of an input which is no single image, such as (C, H, W).
        wanted = replace(wanted, size=None)
    wanted.refuse_for(name, "file", size=report.frame, precision=report.precision)
    if folder is not None:
        check_weights(path)
        if axes.shapes:
            path = with_fixed_axes(path, axes, folder / "fixed.onnx")
    return Subject(report, path, taken=str(axes))


def _of_foreign(
    path: Path, wanted: Wanted, request: PlanRequest | None, folder: Path | None, *, compares: bool
) -> Subject:
    """Analyse the network of a file in the form in which it would be exported."""
    from edgeunet.choosing.foreign import choose_file
    from edgeunet.foreign.contract_text import NOTHING_SAID

    chosen = choose_file(path, NOTHING_SAID, wanted.size)
    subject = _of_graphs(chosen.graphs, chosen.size, wanted, request, folder, compares=compares)
    frame = chosen.network.frame
    return replace(subject, taken=f"{frame.name} is taken as {frame}, made of a frame of bytes")


def _of_module(module: TorchModule, wanted: Wanted) -> Subject:
    from edgeunet.analysis.memory_report import analyse

    name = type(module).__name__
    if wanted.size is None:
        raise UsageError(f"the size of {name}'s images is not given", hint='like size="480x640"')
    try:
        from edgeunet.convert.module_graph import view_of_module
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="exporting a module", extra="export") from error
    report = analyse(view_of_module(module, *wanted.size), model=name)
    wanted.refuse_for(name, "module", size=report.frame, precision=report.precision)
    return Subject(report, None)


def _of_bundle(path: Path, wanted: Wanted) -> Subject:
    from edgeunet.bundle import open_bundle
    from edgeunet.bundle.figures import report_of_bundle

    report = report_of_bundle(open_bundle(path))
    wanted.refuse_for(path.name, "bundle", size=report.frame, precision=report.precision)
    return Subject(report, path)


def _of_recipe(
    target: str,
    wanted: Wanted,
    request: PlanRequest | None,
    folder: Path | None,
    *,
    compares: bool,
) -> Subject:
    from edgeunet.recipes import load_recipe

    recipe = load_recipe(target).with_width(wanted.width)
    try:
        return _of_loaded_recipe(recipe, wanted, request, folder, compares=compares)
    except ModuleNotFoundError as error:
        purpose = f"making the graph of {recipe.name}"
        raise missing_package(error, purpose=purpose, extra="export") from error


def _of_loaded_recipe(
    recipe: Recipe,
    wanted: Wanted,
    request: PlanRequest | None,
    folder: Path | None,
    *,
    compares: bool,
) -> Subject:
    from edgeunet.convert.network_graph import graphs_of_recipe

    size = wanted.size or recipe.export.size
    graphs = graphs_of_recipe(recipe)
    return _of_graphs(graphs, size, wanted, request, folder, compares=compares)


def _of_graphs(
    graphs: Graphs,
    size: tuple[int, int],
    wanted: Wanted,
    request: PlanRequest | None,
    folder: Path | None,
    *,
    compares: bool,
) -> Subject:
    """Analyse a network that can be planned."""
    from edgeunet.convert.exporting import ExportOrder, draft_bundle
    from edgeunet.convert.network_plan import report_of_frame, report_of_request

    precision = wanted.precision or Precision.FP32
    processors = processors_of(wanted.cpu)
    plan, whole, runs_whole = None, None, None
    if request is not None:
        plan, report = report_of_request(graphs, *size, precision, request, processors)
        if not plan.windowed and not request.whole:
            runs_whole = request
        if plan.windowed and compares:
            whole = report_of_frame(graphs, *size, precision, processors)
    else:
        report = report_of_frame(graphs, *size, precision, processors)
    if folder is None:
        return Subject(report, None, whole, runs_whole)
    order = ExportOrder(
        graphs.facts, *size, precision, request=request or WHOLE_FRAME, cpu=wanted.cpu
    )
    bundle = draft_bundle(order, folder / f"{graphs.facts.name}.bundle", graphs=graphs, plan=plan)
    return Subject(report, bundle.path, whole, runs_whole)
