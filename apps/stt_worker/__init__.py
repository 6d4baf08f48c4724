"""stt_worker."""
