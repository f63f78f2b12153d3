"""A camera in software: what happens to light between the lens and the file."""
