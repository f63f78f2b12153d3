"""Builds plans for a bundle on a simulated TensorRT."""

from __future__ import annotations

import msgspec
import pytest

from edgeunet.bundle import Bundle
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.bundles import build_bundle
from edgeunet.engine.trt.plans import Gpu
from edgeunet.errors import EngineError
from edgeunet.specs import Precision
from tests.engine.simulated_tensorrt import Simulation

ORIN = Gpu("Orin", "8.7")
PLAIN = BuildOptions()
SM86 = BuildOptions(compute_capabilities=("8.6",))


def at(bundle: Bundle, precision: Precision) -> Bundle:
    return Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, precision=precision))


def refusal(bundle: Bundle, simulation: Simulation, options: BuildOptions = PLAIN) -> EngineError:
    with pytest.raises(EngineError) as caught:
        build_bundle(bundle, simulation.provider, options, ORIN)
    return caught.value
