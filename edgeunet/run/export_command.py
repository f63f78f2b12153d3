"""The command that exports a bundle again, with another size, processor or budget."""

from __future__ import annotations

from edgeunet.bundle.manifest import Manifest
from edgeunet.recipes import load_recipe, recipe_names
from edgeunet.specs import FrameType
from edgeunet.units import format_size


def export_command(
    manifest: Manifest,
    size: tuple[int, int] | None = None,
    *,
    cpu: str | None = None,
    budget_bytes: int | None = None,
) -> str:
    """Return the command that exports the same network again.

    size: (height, width) in pixels; the bundle's own unless given. cpu: for ``--cpu``.
    budget_bytes: for ``--budget``.
    """
    recipe, foreign = manifest.recipe, manifest.foreign
    source = f"--model {manifest.network.name}" if foreign is None else f"--onnx {foreign.file}"
    command = f"edgeunet export {source}"
    command += f" --size {format_size(*(size or (manifest.height, manifest.width)))}"
    if recipe is not None and recipe.name in recipe_names():
        shipped = load_recipe(recipe.name).network.width
        if recipe.network.width != shipped:
            command += f" --width {recipe.network.width}"
    command += f" --{manifest.precision}"
    if manifest.frame_type is FrameType.FLOAT32:
        command += " --frame float"
    if manifest.calibration:
        command += f" --calibration {manifest.calibration}"
    if manifest.quantization is not None:
        command += f" --target {manifest.quantization.target}"
    if cpu is not None:
        command += f" --cpu {cpu}"
    if budget_bytes is not None:
        command += f" --budget {_written(budget_bytes)}"
    return command


def _written(size_bytes: int) -> str:
    """Return a size as ``--budget`` reads it, rounded down."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size_bytes >= 16 * unit:
            return f"{size_bytes // unit}{name}"
    return str(size_bytes)
