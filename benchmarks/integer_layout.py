"""Does the layout of INT8 graphs pay on other processors than those it was made for?

    python -m benchmarks.integer_layout

Each network is exported with the layout and without it (``edgeunet/graph/integer_layout.py``). The
answers must be as near to each other as right kernels are to floats; they are equal where a network
computes in integers alone. For a processor of each kind: the kernels that run, and the region of
onnxruntime's arena, both predicted, packed weights left out; ``benchmarks/emulated.py`` holds these
predictions against traces. Multiply-accumulates are those of one run of each stage.

Nothing is timed: how long a kernel takes on a processor that is only emulated is not known.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.helpers.record import provenance, write_csv
from edgeunet import api
from edgeunet.bundle import Bundle
from edgeunet.charts import charts
from edgeunet.graph import for_engine
from edgeunet.graph.integer import with_integer_kernels
from edgeunet.graph.macs import macs_of
from edgeunet.graph.onnx_file import read_onnx
from edgeunet.graph.summary import view_of_file
from edgeunet.imitation.integer_kernels import with_channels_last
from edgeunet.imitation.onnxruntime_kernels import kernels_of
from edgeunet.imitation.prediction import region_bytes, whole_allocations
from edgeunet.metrics import psnr_db
from edgeunet.processors import ARM64, ARM64_FP16_DOT, AVX2, AVX512_VNNI, THREADS, ProcessorClass
from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Precision

NETWORKS = ("unetmm", "joint", "unetmm-naf")
SIZE = (128, 160)
WINDOWS = (64, 64)
# What an export demands of the integer kernels of the network that computes most in floats.
LEAST_DB = 35
KINDS = (AVX512_VNNI, AVX2, ARM64_FP16_DOT, ARM64)


def main() -> None:
    rows: list[dict[str, object]] = []
    for network in NETWORKS:
        for run, windows in (("whole", None), ("windows", WINDOWS)):
            with tempfile.TemporaryDirectory(prefix="edgeunet-") as folder:
                with mock.patch.object(for_engine, "lay_out_integers"):
                    plain = _export(network, windows, Path(folder, "plain.bundle"))
                laid = _export(network, windows, Path(folder, "laid.bundle"))
                likeness_db = _likeness_db(plain, laid)
                for layout, bundle in (("plain", plain), ("laid out", laid)):
                    about = {"model": network, "run": run, "layout": layout}
                    rows += [
                        {**about, **figures, "likeness_db": f"{likeness_db:.1f}"}
                        for figures in _figures(bundle)
                    ]
            for row in rows[-2 * len(KINDS) :]:
                print(*row.values(), flush=True)
    write_csv("integer_layout", rows, provenance())


def _export(network: str, windows: tuple[int, int] | None, path: Path) -> Bundle:
    return api.export(network, size=SIZE, precision=Precision.INT8, windows=windows, out=path)


def _likeness_db(plain: Bundle, laid: Bundle) -> float:
    """Return the PSNR of one denoised frame against the other; ``inf`` where they are equal."""
    frame = np.ascontiguousarray(charts(*SIZE)["colours"][..., ::-1])
    answers: list[Array] = []
    for bundle in (plain, laid):
        executor = Executor(bundle, "onnxruntime", threads=1)
        answers.append(executor.run(frame)["denoised"].copy())
        executor.close()
    likeness_db = psnr_db(*answers, peak=255)
    if likeness_db < LEAST_DB:
        raise SystemExit(f"{laid.manifest.name}: the layout changes it, to {likeness_db:.1f} dB")
    return likeness_db


def _figures(bundle: Bundle) -> Iterator[dict[str, object]]:
    graphs = [bundle.file(stage.graph) for stage in bundle.manifest.stages]
    macs = sum(macs_of(read_onnx(path)[0]) for path in graphs)
    for kind in KINDS:
        runs = [(whole_allocations(view_of_file(path), kind), 1) for path in graphs]
        kept = sum(sum(one.kept_bytes) for one, _ in runs)
        yield {
            "processor": kind.name,
            "kernels": sum(_kernels(path, kind) for path in graphs),
            "region_bytes": region_bytes(runs) - kept,
            "macs": macs,
        }


def _kernels(path: Path, kind: ProcessorClass) -> int:
    view = with_channels_last(with_integer_kernels(view_of_file(path)))
    return sum(not kernel.is_view for kernel in kernels_of(view, kind, threads=THREADS))


if __name__ == "__main__":
    main()
