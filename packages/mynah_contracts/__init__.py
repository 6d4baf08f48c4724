"""mynah_contracts."""
