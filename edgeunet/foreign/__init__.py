"""Networks that somebody else trained: their files, their contracts, and the form of our own."""
