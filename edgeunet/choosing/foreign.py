"""Turn a foreign network, a file or a torch module, into an order to export it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeunet.calibration import calibration_names
from edgeunet.choosing.memory import TorchModule
from edgeunet.choosing.networks import missing_package
from edgeunet.contracts import ForeignNetwork
from edgeunet.errors import UsageError
from edgeunet.foreign.contract_text import SaidContract
from edgeunet.specs import FrameType, Precision
from edgeunet.units import format_size

if TYPE_CHECKING:
    from edgeunet.convert.foreign_graphs import ForeignGraphs


@dataclass(frozen=True)
class ForeignChoice:
    """A foreign network that can be exported.

    size: (height, width) of its frames.
    """

    network: ForeignNetwork
    size: tuple[int, int]
    graphs: ForeignGraphs

    @property
    def weights(self) -> None:
        """None: the network has its own."""
        return None

    def bundle_path(self, precision: Precision) -> Path:
        """Return the default name of its bundle, in the current folder."""
        return Path(f"{self.network.name}-{format_size(*self.size)}-{precision}.bundle")

    def keeps_ranges(self, calibration: str | None) -> bool:
        """Return whether ranges that are measured on a set are stored beside it.

        The folder of the shipped sets is for the shipped networks.
        """
        return calibration is not None and calibration not in calibration_names()


def choose_module(
    module: TorchModule,
    said: SaidContract,
    size: tuple[int, int] | None,
    frame_type: FrameType = FrameType.UINT8,
) -> ForeignChoice:
    """Return the network of a torch module.

    Raises UsageError without a size, GraphError for a module that torch cannot export or that is
    no network for frames, MissingPackageError without the packages of an export.
    """
    name = type(module).__name__
    if size is None:
        raise UsageError(f"the size of {name}'s images is not given", hint='like size="480x640"')
    try:
        from edgeunet.convert.foreign_graphs import ForeignGraphs
        from edgeunet.convert.foreign_module import file_of_module, run_of_module
        from edgeunet.ort.plain_session import open_plain
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="exporting a module", extra="export") from error
    file = file_of_module(module, size, said)
    network = file.network(*size)
    run = run_of_module(module, file.outputs)
    graphs = ForeignGraphs(
        file, network, size, lambda _: run, open_plain, f"{name} in torch FP32", frame_type
    )
    return ForeignChoice(network, size, graphs)


def is_onnx_file(target: str) -> bool:
    """Return whether a name is that of an ONNX file."""
    return Path(target).suffix.lower() == ".onnx"


def choose_file(
    path: Path,
    said: SaidContract,
    size: tuple[int, int] | None = None,
    frame_type: FrameType = FrameType.UINT8,
) -> ForeignChoice:
    """Return the network of an ONNX file.

    size: None for the one that is written into the file.
    Raises GraphError for a file that is no network for frames, UsageError for a contract or a size
    that contradicts it, MissingPackageError without the packages of an export.
    """
    try:
        from edgeunet.convert.foreign_graphs import ForeignGraphs, open_file
        from edgeunet.foreign.network_file import NetworkFile
        from edgeunet.ort.plain_session import open_plain
    except ModuleNotFoundError as error:
        raise missing_package(error, purpose="exporting", extra="export") from error
    file = NetworkFile.read(path, said)
    chosen = size or file.own_size
    if chosen is None:
        raise UsageError(
            f"{path.name} takes frames of any size, and none is given",
            hint="say which with --size, like --size 720x1280",
        )
    network = file.network(*chosen)
    opened = open_file(path, file, open_plain)
    graphs = ForeignGraphs(file, network, chosen, opened, open_plain, path.name, frame_type)
    return ForeignChoice(network, chosen, graphs)
