"""From torch to ONNX, with a parity check; the only place where models and graphs meet."""
