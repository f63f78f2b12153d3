"""Runs bundles: their tensors, windows and stages, on a CPU or a GPU."""
