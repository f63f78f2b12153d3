"""Analysis of what a graph needs to run: lifetimes, roles, arena layout, checker and report."""
