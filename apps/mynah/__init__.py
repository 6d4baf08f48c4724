"""The command line and the local supervisor of the fleet."""

__version__ = "0.1.0"
