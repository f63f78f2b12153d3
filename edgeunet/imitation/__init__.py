"""What engines do with memory, by imitation: their kernels, allocations and arenas."""
