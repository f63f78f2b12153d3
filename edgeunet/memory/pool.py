"""How onnxruntime's arena is set up: the same for the one who predicts and the one who runs."""

from __future__ import annotations

from edgeunet.specs import Pool

# Of a free piece more than this is never given away unused.
DEAD_BYTES = 1 << 20


def pool_for(region_bytes: int) -> Pool:
    """Return the pool for a predicted region."""
    return Pool(region_bytes=region_bytes, dead_bytes=DEAD_BYTES)
