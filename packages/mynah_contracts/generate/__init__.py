"""What follows from the catalogue: documents for people and other languages, and the broker's rights."""
