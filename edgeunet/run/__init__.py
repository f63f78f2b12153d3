"""Running a bundle: tensors, windows and stages, on a CPU or a GPU."""
