"""Reads frames from files and cameras, and writes frames to files and windows."""
