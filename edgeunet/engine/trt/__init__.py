"""TensorRT and TensorRT for RTX behind one interface: building plans and running them."""
