"""Runs frames from a source through a bundle into a sink."""

from edgeunet.stream.pipeline import RunOptions, RunSummary, run_pipeline

__all__ = ["RunOptions", "RunSummary", "run_pipeline"]
