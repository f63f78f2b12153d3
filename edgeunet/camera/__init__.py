"""A simulated camera: from the light behind the lens to the image file."""
