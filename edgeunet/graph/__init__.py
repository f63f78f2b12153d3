"""ONNX graphs: reading, writing, exact rewrites. Owns onnx and onnx-ir."""
