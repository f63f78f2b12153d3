"""Measure, store, compare and simulate the noise of a camera."""
