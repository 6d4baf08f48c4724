"""eSpeak NG, in-process: the real library, the real sound."""

import itertools
import subprocess
import threading
import tracemalloc
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tts_worker.engines import EngineMissingError, SpeechError, UnknownVoiceError
from tts_worker.engines.espeak import Espeak, EspeakSettings
from tts_worker.engines.espeak_library import Manner, library, load

SENTENCE = "Hello there, the kettle is boiling in the kitchen."
PARAGRAPH = (
    "The quick brown fox jumps over the lazy dog. "
    "A timer for twelve minutes has been set, and another for three hours! "
    "Is the garage door open, or did somebody lock it already? "
    "Tomorrow there will be rain in the morning; the afternoon stays dry. "
    "That is all I know about it."
)
TRAVERSALS = [
    "../../../../etc/passwd",
    "/etc/passwd",
    "gmw/../gmw/en",
    "..",
    ".",
    "en\x00us",
    "%2e%2e%2fen",
    "file:///etc/passwd",
    "C:\\windows\\win.ini",
    "CON",
    "\uff0e\uff0e/en",
    "x" * 4096,
    "-" * 100_000,
    "en-us+../../../etc/passwd",
    "en-us+!v/f3",
    "+f3",
    "\ud800",
]


@pytest.fixture(scope="module")
def espeak():
    with Espeak() as engine:
        yield engine


def spoken(engine, text, voice=None):
    return np.concatenate([np.zeros(0, np.int16), *engine.synthesize(text, voice)])


def by_the_program(text, tmp_path):
    """What the espeak-ng command makes of the text."""
    path = tmp_path / "cli.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", path, text], check=True, timeout=30)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def loudness(audio, window=1103):
    """Root mean square of each 50 ms."""
    frames = audio[: len(audio) // window * window].reshape(-1, window).astype(float)
    return np.sqrt((frames**2).mean(axis=1))


def likeness(one, other):
    """Correlation of two loudness curves, 1 for the same speech."""
    shortest = min(len(loudness(one)), len(loudness(other)))
    return np.corrcoef(loudness(one)[:shortest], loudness(other)[:shortest])[0, 1]


def pitch(audio, rate=22_050):
    """The most common distance between repetitions, as Hz."""
    lags = np.arange(rate // 400, rate // 60)
    signal = audio.astype(float)
    alike = [np.dot(signal[:-lag], signal[lag:]) for lag in lags]
    return rate / lags[int(np.argmax(alike))]


def test_a_sentence_sounds_like_what_the_espeak_program_makes_of_it(espeak, tmp_path):
    ours, theirs = spoken(espeak, SENTENCE), by_the_program(SENTENCE, tmp_path)
    assert len(ours) == pytest.approx(len(theirs), rel=0.02)
    assert loudness(ours).mean() == pytest.approx(loudness(theirs).mean(), rel=0.05)
    assert likeness(ours, theirs) > 0.95


def test_text_spoken_in_pieces_keeps_the_pauses_between_its_sentences(espeak, tmp_path):
    ours, theirs = spoken(espeak, PARAGRAPH), by_the_program(PARAGRAPH, tmp_path)
    assert len(PARAGRAPH) > 200
    assert len(ours) == pytest.approx(len(theirs), rel=0.03)


def test_speech_is_neither_silence_nor_noise_at_full_scale(espeak):
    audio = spoken(espeak, SENTENCE)
    assert 1_000 < np.sqrt((audio.astype(float) ** 2).mean()) < 10_000
    assert np.mean(np.abs(audio.astype(int)) > 32_000) < 0.001


def test_chunks_are_16_bit_mono_and_last_at_most_50_ms(espeak):
    chunks = list(espeak.synthesize(SENTENCE))
    assert espeak.sample_rate == 22_050
    assert {(chunk.dtype, chunk.ndim) for chunk in chunks} == {(np.dtype(np.int16), 1)}
    assert max(map(len, chunks)) <= 1_103


@pytest.mark.parametrize("text", ["", " ", "\n\t \r\n", "\x00\x01\x02", "\u2028"])
def test_text_without_anything_to_say_makes_no_sound(espeak, text):
    assert list(espeak.synthesize(text)) == []


@pytest.mark.parametrize("text", [".", "...", "?!", "-", "\u200b", "\ufeff"])
def test_punctuation_alone_is_at_most_a_short_silence(espeak, text):
    assert len(spoken(espeak, text)) < 22_050


@pytest.mark.parametrize(
    ("text", "inside"),
    [("<speak>hello</speak>", "hello"), ("<break time='3s'/>hello", "hello"), ("<voice name='de'>hello", "hello")],
)
def test_markup_is_read_out_and_not_obeyed(espeak, text, inside):
    assert len(spoken(espeak, text)) > 1.5 * len(spoken(espeak, inside))


def test_phoneme_codes_are_read_out_and_not_obeyed(espeak):
    codes, letters = spoken(espeak, "[[h@l'oU]]"), spoken(espeak, "h@l'oU")
    assert len(codes) >= 0.95 * len(letters)


def test_control_characters_are_blanks_and_not_commands_of_espeak(espeak):
    plain = spoken(espeak, "99P hello")
    assert pitch(spoken(espeak, "\x0199P hello")) == pytest.approx(pitch(plain), rel=0.3)
    assert len(spoken(espeak, "\x0199P hello")) == pytest.approx(len(plain), rel=0.02)


@pytest.mark.parametrize("separator", ["\x00", "\x1b", "\x7f", "\x9f"])
def test_what_stands_after_a_control_character_is_spoken_too(espeak, separator):
    audio = spoken(espeak, f"hello{separator}wonderful world")
    assert len(audio) == pytest.approx(len(spoken(espeak, "hello wonderful world")), rel=0.05)


@pytest.mark.parametrize("text", ["\ud800 hello", "h\u0301ello", "😀", "你好", "\u202ehello", "\U0010ffff", "ﷺ" * 50])
def test_any_character_is_survived(espeak, text):
    spoken(espeak, text)
    assert len(spoken(espeak, "still here")) > 10_000


def test_ten_thousand_characters_are_streamed_in_bounded_memory(espeak):
    text = (PARAGRAPH + " ") * 40
    text = text[:10_000]
    tracemalloc.start()
    try:
        samples = sum(len(chunk) for chunk in espeak.synthesize(text))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert samples > 400 * 22_050
    assert most < samples * 2 / 8


def test_ten_thousand_characters_without_a_blank_are_spoken(espeak):
    assert sum(1 for _ in itertools.islice(espeak.synthesize("a" * 10_000), 500)) == 500


def test_stop_from_another_thread_ends_speech_at_the_next_chunk(espeak):
    speech = espeak.synthesize(PARAGRAPH)
    next(speech)
    stopper = threading.Thread(target=espeak.stop)
    stopper.start()
    stopper.join()
    assert list(speech) == []


def test_what_is_said_after_a_stop_is_heard(espeak):
    espeak.stop()
    assert len(spoken(espeak, SENTENCE)) > 22_050


def test_the_library_stops_within_one_chunk_once_speech_is_no_longer_wanted():
    answers = itertools.chain([True, True], itertools.repeat(False))
    chunks = library().render(PARAGRAPH[:200], Manner("gmw/en-US", 175, 50, 100), pause=True, wanted=answers.__next__)
    assert len(chunks) == 3


def test_a_slow_listener_holds_nobody_up(espeak):
    slow = espeak.synthesize(PARAGRAPH)
    next(slow)
    with ThreadPoolExecutor(1) as thread:
        assert len(thread.submit(spoken, espeak, SENTENCE).result(timeout=30)) > 22_050
    assert len(np.concatenate(list(slow))) > 22_050


def test_a_hundred_threads_each_hear_their_own_text(espeak):
    texts = [" ".join(["seven"] * (1 + number % 10)) for number in range(100)]
    alone = {text: len(spoken(espeak, text)) for text in set(texts)}
    with ThreadPoolExecutor(100) as threads:
        together = list(threads.map(lambda text: len(spoken(espeak, text)), texts))
    assert together == [pytest.approx(alone[text], rel=0.05) for text in texts]


def test_two_voices_at_once_do_not_mix(espeak):
    alone = {voice: spoken(espeak, PARAGRAPH, voice) for voice in ("en-us", "de")}
    pairs = itertools.zip_longest(espeak.synthesize(PARAGRAPH, "en-us"), espeak.synthesize(PARAGRAPH, "de"))
    english, german = (np.concatenate([c for c in chunks if c is not None]) for chunks in zip(*pairs, strict=True))
    assert len(english) == pytest.approx(len(alone["en-us"]), rel=0.03)
    assert len(german) == pytest.approx(len(alone["de"]), rel=0.03)
    assert likeness(english, alone["en-us"]) > 0.9
    assert likeness(english, german) < 0.7


@pytest.mark.parametrize(
    ("voice", "same_as"),
    [("EN_us", "en-us"), ("English (America)", "en-us"), ("de-DE", "de"), ("fr-FR", "fr"), ("German", "de")],
)
def test_a_voice_is_found_by_language_or_name(espeak, voice, same_as):
    audio, same = spoken(espeak, SENTENCE, voice), spoken(espeak, SENTENCE, same_as)
    assert len(audio) == pytest.approx(len(same), rel=0.025)


def test_a_variant_changes_the_sound(espeak):
    assert pitch(spoken(espeak, SENTENCE, "en-us+f3")) > 1.2 * pitch(spoken(espeak, SENTENCE, "en-us"))


def test_every_voice_that_is_listed_speaks(espeak):
    names = espeak.voices()
    assert {"en-us", "de", "es", "cmn"} <= set(names)
    assert [name for name in names if len(spoken(espeak, "1 2", name)) == 0] == []


@pytest.mark.parametrize("voice", TRAVERSALS)
def test_a_voice_name_is_looked_up_and_never_becomes_a_path(espeak, voice):
    with pytest.raises(UnknownVoiceError):
        espeak.synthesize("hello", voice)


def test_a_voice_file_that_is_not_in_the_list_is_not_loaded(espeak, tmp_path):
    (tmp_path / "planted").write_text("name planted\nlanguage en\n")
    with pytest.raises(UnknownVoiceError):
        espeak.synthesize("hello", str(tmp_path / "planted"))


def test_an_unknown_voice_of_the_settings_is_refused_when_the_engine_opens():
    with pytest.raises(UnknownVoiceError, match="klingonish"), Espeak(EspeakSettings(voice="klingonish")):
        pytest.fail("opened")


def test_rate_pitch_and_volume_are_heard(espeak):
    plain = spoken(espeak, SENTENCE)
    settings = EspeakSettings()
    with Espeak(replace(settings, rate=350)) as fast:
        assert len(spoken(fast, SENTENCE)) < 0.7 * len(plain)
    with Espeak(replace(settings, pitch=90)) as high:
        assert pitch(spoken(high, SENTENCE)) > 1.2 * pitch(plain)
    with Espeak(replace(settings, volume=50)) as quiet:
        assert loudness(spoken(quiet, SENTENCE)).mean() < 0.7 * loudness(plain).mean()
    assert likeness(spoken(espeak, SENTENCE), plain) > 0.9


@pytest.mark.parametrize("wrong", [{"rate": 79}, {"rate": 451}, {"pitch": -1}, {"pitch": 101}, {"volume": 201}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be between"):
        EspeakSettings(**wrong)


def test_a_missing_library_is_explained():
    with pytest.raises(EngineMissingError, match="apt install espeak-ng"):
        load(("libno-such-speech.so.1",))


def test_an_engine_that_is_closed_says_so():
    with Espeak() as engine:
        speech = engine.synthesize(PARAGRAPH)
        next(speech)
    assert list(speech) == []
    with pytest.raises(SpeechError, match="not open"):
        engine.synthesize("hello")


@pytest.mark.parametrize(("voice", "is_like"), [(None, "3 oh 5"), ("en-gb+f3", "3 oh 5"), ("de", "3 zero 5")])
def test_a_time_of_day_is_read_in_the_words_of_the_language(espeak, voice, is_like):
    length = len(spoken(espeak, "It is 3:05 PM.", voice))
    # No two syntheses are of exactly the same length; "zero" is a tenth longer than "oh".
    assert length == pytest.approx(len(spoken(espeak, f"It is {is_like} PM.", voice)), rel=0.02)
