"""mynah_bus."""
