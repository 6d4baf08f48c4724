"""router_worker."""
