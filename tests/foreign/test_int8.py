"""Foreign networks in 8 bits, with ranges of the user's own frames; what is lost is stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgeunet as api
from edgeunet.photographs import shipped_photographs
from tests.cli.command import edgeunet
from tests.foreign.exported import with_random_statistics, write_onnx
from tests.foreign.plain_networks import ESPCN, DnCNN, UNet

SIZE = (48, 64)
NETWORKS: dict[str, tuple[type[nn.Module], str]] = {
    "denoiser": (DnCNN, "psnr_db"),
    "segmenter": (UNet, "label_share"),
    "times3": (ESPCN, "psnr_db"),
}


@pytest.fixture(scope="module")
def own_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skimage import io

    folder = tmp_path_factory.mktemp("own")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, photograph in enumerate(list(shipped_photographs().values())[:3]):
        for part in range(4):
            crop = photograph[40 * part : 40 * part + SIZE[0], 60 : 60 + SIZE[1]]
            io.imsave(pictures / f"{number}-{part}.png", crop, check_contrast=False)
    made = api.make_calibration_set(
        pictures, "own", folder=folder / "sets", size=SIZE, sigmas=(0.0,)
    )
    return made.path


@pytest.mark.parametrize("name", NETWORKS)
def test_own_frames_give_the_ranges(name: str, own_set: Path, tmp_path: Path) -> None:
    make, metric = NETWORKS[name]
    torch.manual_seed(2)
    network = with_random_statistics(make())
    path = write_onnx(network, tmp_path / f"{name}.onnx", SIZE, dynamo=False, opset=17)
    target = tmp_path / "int8.bundle"
    bundle = api.export(path, precision="int8", calibration=own_set, out=target)
    manifest = bundle.manifest
    assert manifest.quantization is not None
    inside, every = manifest.quantization.convolutions
    assert inside == every > 0
    stated = {entry.frame: entry.value for entry in manifest.parity if entry.metric == metric}
    assert {"astronaut", "coffee", "noise"} <= set(stated)
    assert (own_set.parent / "ranges" / f"{name}-own.json").is_file()
    with api.open_bundle(target) as loaded:
        found = loaded.run(np.zeros((*SIZE, 3), np.uint8))
    assert set(found) == {"labels" if metric == "label_share" else "image"}
    message, hint = edgeunet("build", target, "--trtexec", "--for-version", "10.3").failure
    assert message.startswith("int8.bundle is quantized for onnxruntime")
    assert hint == "export it again with --int8 --target tensorrt"
