"""Training: data, noise, losses, the loop. Runs on two CPU cores and on a large GPU alike."""
