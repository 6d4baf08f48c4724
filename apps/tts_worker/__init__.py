"""tts_worker."""
