"""memory_worker."""
