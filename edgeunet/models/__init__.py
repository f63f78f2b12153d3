"""The networks, in torch: blocks x skips x pathways x heads."""

from edgeunet.models.network import Network, build_network

__all__ = ["Network", "build_network"]
