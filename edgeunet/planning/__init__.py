"""Frame plans: where a network is cut into stages, and in which windows each stage runs."""
