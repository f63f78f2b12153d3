"""Runs frames from a source through a bundle into sinks."""

from edgeunet.stream.pipeline import run_pipeline
from edgeunet.stream.run_options import RunOptions
from edgeunet.stream.run_summary import RunSummary

__all__ = ["RunOptions", "RunSummary", "run_pipeline"]
