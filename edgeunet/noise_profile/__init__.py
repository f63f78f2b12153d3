"""The noise of a camera in figures: measured, kept in a file, compared, and simulated."""
