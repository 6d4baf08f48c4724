"""mynah_resilience."""
