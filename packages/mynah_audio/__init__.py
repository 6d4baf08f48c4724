"""Sound: samples, WAV files, rates, voice activity, wake words and the end of speech; knows no message."""
