"""Measures the quality of a network or a bundle on images, labels and clips."""
