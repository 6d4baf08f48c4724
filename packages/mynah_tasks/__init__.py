"""mynah_tasks."""
