"""Cameras and network streams: three libraries that open them, and what keeps them open."""
