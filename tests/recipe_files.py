"""Recipe files of two levels: exported in a second, trained in less."""

from __future__ import annotations

DENOISE = """
[[pathways]]
output = "denoised"
head = "denoise"
"""
SEGMENT = """
[[pathways]]
output = "labels"
head = "segment"
classes = [{ name = "blue" }, { name = "green" }, { name = "red" }]
"""
CLASSIFY = """
[[pathways]]
output = "scores"
head = "classify"
classes = [{ name = "cat" }, { name = "dog" }]
"""


def recipe_text(pathways: str = DENOISE, *, name: str = "toy", width: int = 4) -> str:
    """Return the TOML of a recipe; tables may be added at its end."""
    return f"""schema = 1
name = "{name}"
title = "Two levels"
source = "none"

[network]
block = "residual"
skip = "aggregate"
width = {width}
encoder_blocks = [1, 1]
middle_blocks = 1
decoder_blocks = [1, 1]
down = "conv"
up = "shuffle"
{pathways}"""
