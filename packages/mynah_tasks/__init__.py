"""Work that is accepted is done, or its failure can be seen; `engine.TaskEngine` is the door, `facades` the others."""
