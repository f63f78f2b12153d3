"""A run as a service of the system: its unit, what it tells systemd, and its metrics."""
