"""Imitations of how engines use memory: their kernels, allocations and arenas."""
