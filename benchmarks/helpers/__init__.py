"""What several benchmarks share. A script that answers a question lies one folder up."""
