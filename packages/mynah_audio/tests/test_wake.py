import numpy as np
import pytest

from mynah_audio.frames import Framer
from mynah_audio.wake import WAKE_WORDS, MicroWakeWord


def detections(wake, samples):
    """Phrase and end in seconds of all that is heard in a recording and the second after it."""
    wake.reset()
    sound = np.concatenate((samples, np.zeros(16_000, np.int16)))
    heard = ((number * 0.02, wake.push(frame)) for number, frame in enumerate(Framer().push(sound), start=1))
    return [(detection.phrase, second) for second, detection in heard if detection]


def spoken(speech, phrase):
    return [item for item in speech if item.file.name.startswith("wake") and item.text.replace(" ", "_") == phrase]


@pytest.mark.model
@pytest.mark.req("WAK-01")
@pytest.mark.parametrize("phrase", ["okay_nabu", "hey_jarvis", "alexa"])
def test_every_real_wake_word_is_heard_once(phrase, speech):
    wake = MicroWakeWord([phrase])
    recordings = spoken(speech, phrase)
    assert recordings
    for recording in recordings:
        heard = detections(wake, recording.samples)
        assert [name for name, _ in heard] == [phrase], recording.file.name


@pytest.mark.model
def test_okay_nabu_is_not_heard_in_anything_else(speech):
    wake = MicroWakeWord()
    others = [recording for recording in speech if recording.text != "okay nabu"]
    assert [item.file.name for item in others if detections(wake, item.samples)] == []


@pytest.mark.model
def test_several_phrases_are_waited_for_at_once(speech):
    wake = MicroWakeWord(["okay_nabu", "hey_jarvis"])
    sound = np.concatenate([spoken(speech, phrase)[0].samples for phrase in ("hey_jarvis", "okay_nabu", "hey_jarvis")])
    assert [phrase for phrase, _ in detections(wake, sound)] == ["hey_jarvis", "okay_nabu", "hey_jarvis"]


@pytest.mark.model
def test_a_wake_word_said_again_is_heard_again(speech):
    wake = MicroWakeWord()
    once = spoken(speech, "okay_nabu")[0].samples
    assert len(detections(wake, np.concatenate((once, once, once)))) == 3


@pytest.mark.model
def test_the_length_of_the_pieces_does_not_matter(speech):
    samples = spoken(speech, "okay_nabu")[0].samples
    wake = MicroWakeWord()
    wake.reset()
    heard = [wake.push(piece) for piece in np.split(samples, range(77, len(samples), 77))]
    assert sum(detection is not None for detection in heard) == 1


@pytest.mark.model
def test_a_higher_threshold_hears_less(speech):
    samples = spoken(speech, "okay_nabu")[0].samples
    assert detections(MicroWakeWord(threshold=1.0), samples) == []
    assert len(detections(MicroWakeWord(threshold=0.5), samples)) == 1


@pytest.mark.parametrize("phrase", WAKE_WORDS)
def test_silence_and_noise_wake_nobody(phrase):
    noise = np.random.default_rng(1).normal(0, 3_000, 5 * 16_000).astype(np.int16)
    wake = MicroWakeWord([phrase])
    assert detections(wake, noise) == []
    assert detections(wake, np.zeros(3 * 16_000, np.int16)) == []


@pytest.mark.parametrize("phrases", [["computer"], [], ["okay_nabu", "../alexa"]])
def test_an_unknown_phrase_is_refused_with_what_there_is(phrases):
    with pytest.raises(ValueError, match="there are okay_nabu, hey_jarvis, hey_mycroft, alexa"):
        MicroWakeWord(phrases)
