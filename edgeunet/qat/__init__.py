"""Quantization-aware training on the graph that an export would quantize."""
