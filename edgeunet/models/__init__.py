"""The networks in torch, composed of blocks, skips, pathways and heads."""

from edgeunet.models.network import Network, build_network

__all__ = ["Network", "build_network"]
