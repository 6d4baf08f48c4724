"""What the task engine is compared with."""
