"""Reads image files: one reader for every verb, which goes by what a file says of itself."""
