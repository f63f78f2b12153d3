"""From images, clips and cameras to a calibration set: different frames, several noise levels."""
