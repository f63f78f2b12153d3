"""What a type checker knows of the API. Read by ``test_api_types.py``, never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import edgeunet


def right(frame: NDArray[np.uint8]) -> None:
    report = edgeunet.memory("unetmm", size=(1080, 1920), budget="200MiB")
    assert_type(report, edgeunet.MemoryReport)
    assert_type(report.peak_live_bytes, int)
    bundle = edgeunet.export("unetmm", size="1080x1920", precision=edgeunet.Precision.FP16)
    assert_type(bundle, edgeunet.Bundle)
    with edgeunet.open_bundle(bundle.path, engine="auto") as network:
        assert_type(network, edgeunet.Network)
        assert_type(network.size, tuple[int, int])
        assert_type(network.run(frame, colours="rgb"), dict[str, NDArray[Any]])
    assert_type(edgeunet.frames("csi://0"), Iterator[NDArray[np.uint8]])
    assert_type(edgeunet.network_names(), tuple[str, ...])
    assert_type(edgeunet.__version__, str)


def wrong(network: edgeunet.Network, frame: NDArray[np.uint8]) -> None:
    edgeunet.memory("unetmm", size=1080)  # type: ignore[arg-type]
    edgeunet.export("unetmm", windows="small")  # type: ignore[arg-type]
    network.run(frame, colours="grb")  # type: ignore[arg-type]
    network.run(frame, out=frame)  # type: ignore[arg-type]
