"""The microphone and loudspeaker of a room, or a file or pipe in their place."""
