"""The ears and the mouth of a room: what is said there goes out as utterances, and answers are played."""
