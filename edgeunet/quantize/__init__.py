"""INT8: from the frames of a calibration set to the range of every tensor, and what it costs."""
