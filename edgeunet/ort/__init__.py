"""All that is asked of onnxruntime. Only this room imports it, and nothing here knows a bundle."""
