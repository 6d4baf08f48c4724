"""mynah_audio."""
