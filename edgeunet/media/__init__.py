"""Frames from files and cameras, and frames into files and windows."""
