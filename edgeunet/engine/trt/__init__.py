"""TensorRT and TensorRT for RTX behind one set of calls: building plans, and running them."""
