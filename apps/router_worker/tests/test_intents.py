"""What people ask for in so many words."""

import json
from random import Random

import pytest
from hassil import Intents, recognize_best
from hypothesis import given, settings
from hypothesis import strategies as st

from router_worker.intents import Device, Home, Intent, Recogniser, Risk, dictionary
from router_worker.intents.slots import NotAnIntent, values


@pytest.mark.parametrize(
    ("text", "name", "slots"),
    [
        ("what time is it", "GetTime", {}),
        ("What's the time?", "GetTime", {}),
        ("tell me the time", "GetTime", {}),
        ("what's the date today", "GetDate", {"day": 0}),
        ("what is tomorrow's date", "GetDate", {"day": 1}),
        ("what day is it", "GetWeekday", {}),
        ("what day was yesterday", "GetWeekday", {"day": -1}),
        ("when is Friday", "GetDateOfWeekday", {"weekday": 4}),
        ("what year is it", "GetYear", {}),
        ("what month is it", "GetMonth", {}),
        ("add milk to my shopping list", "AddToList", {"items": ("milk",)}),
        ("Add milk, some eggs, and bread to the shopping list.", "AddToList", {"items": ("milk", "eggs", "bread")}),
        ("put toilet paper on the list", "AddToList", {"items": ("toilet paper",)}),
        ("take the milk off my shopping list", "RemoveFromList", {"items": ("milk",)}),
        ("what's on my shopping list", "ShowList", {}),
        ("clear the shopping list", "ClearList", {}),
        ("repeat that", "Repeat", {}),
        ("stop", "Stop", {}),
        ("pause", "PauseSpeech", {}),
        ("resume", "ResumeSpeech", {}),
        ("never mind", "Nevermind", {}),
        ("help", "Help", {}),
        ("what can you do", "Help", {}),
        ("set the volume to 40 percent", "SetVolume", {"volume": 40}),
        ("volume fifty", "SetVolume", {"volume": 50}),
        ("turn it up", "VolumeUp", {}),
        ("turn the volume down by ten percent", "VolumeDown", {"step": 10}),
        ("mute", "Mute", {}),
        ("thank you", "Thanks", {}),
        ("good morning", "Greeting", {}),
        ("bye", "Goodbye", {}),
        ("who are you", "WhoAreYou", {}),
        ("turn on the kitchen lights", "HassTurnOn", {"area": "kitchen", "domain": "light"}),
        ("set kitchen lights to green", "HassLightSet", {"area": "kitchen", "color": "green", "domain": "light"}),
        ("is the front door locked", "HassGetState", {"name": "front door", "state": "locked", "domain": "lock"}),
        ("next track", "HassMediaNext", {"area": "here"}),
    ],
)
def test_it_understands(recogniser: Recogniser, text: str, name: str, slots: dict) -> None:
    intent = recogniser.recognise(text)
    assert intent is not None
    assert (intent.name, dict(intent.slots)) == (name, slots)


@pytest.mark.parametrize(
    ("length", "seconds"),
    [
        ("5 minutes", 300),
        ("five minutes", 300),
        ("a minute", 60),
        ("an hour", 3600),
        ("one hour", 3600),
        ("30 seconds", 30),
        ("ninety seconds", 90),
        ("an hour and a half", 5400),
        ("half an hour", 1800),
        ("a half hour", 1800),
        ("half a minute", 30),
        ("a quarter of an hour", 900),
        ("three quarters of an hour", 2700),
        ("two hours and a quarter", 8100),
        ("4 and a half hours", 16200),
        ("5 and a half minutes", 330),
        ("a minute and a half", 90),
        ("1 hour and 8 minutes", 4080),
        ("1 hour 8 minutes", 4080),
        ("6 hours and 20 minutes", 22800),
        ("10 minutes and 20 seconds", 620),
        ("two hours three minutes and four seconds", 7384),
        ("one hundred twenty minutes", 7200),
        ("1.5 hours", 5400),
        ("15 mins", 900),
        ("90 secs", 90),
        ("2 hrs", 7200),
    ],
)
def test_it_understands_the_length_of_a_timer(recogniser: Recogniser, length: str, seconds: int) -> None:
    assert recogniser.recognise(f"set a timer for {length}") == Intent("StartTimer", {"seconds": seconds}, Risk.LOW)


@pytest.mark.parametrize(
    ("text", "name", "slots"),
    [
        ("set a timer", "StartTimer", {}),
        ("set a 5-minute timer", "StartTimer", {"seconds": 300}),
        ("ten minute timer", "StartTimer", {"seconds": 600}),
        ("set a pizza timer for 12 minutes", "StartTimer", {"seconds": 720, "timer": "pizza"}),
        ("set a 10 minute timer called green tea", "StartTimer", {"seconds": 600, "timer": "green tea"}),
        ("set a timer for ten minutes for the eggs", "StartTimer", {"seconds": 600, "timer": "eggs"}),
        ("cancel the timer", "CancelTimer", {}),
        ("stop the pizza timer", "CancelTimer", {"timer": "pizza"}),
        ("cancel my 5 minute timer", "CancelTimer", {"seconds": 300}),
        ("cancel all of my timers", "CancelAllTimers", {}),
        ("stop all timers", "CancelAllTimers", {}),
        ("how much time is left on the timer", "TimerStatus", {}),
        ("how long is left on the pizza timer", "TimerStatus", {"timer": "pizza"}),
        ("timer status", "TimerStatus", {}),
        ("pause the timer", "PauseTimer", {}),
        ("pause the pizza timer", "PauseTimer", {"timer": "pizza"}),
        ("resume my timer", "ResumeTimer", {}),
        ("add five minutes to the timer", "IncreaseTimer", {"seconds": 300}),
        ("add another half an hour to the pizza timer", "IncreaseTimer", {"seconds": 1800, "timer": "pizza"}),
        ("take two minutes off the timer", "DecreaseTimer", {"seconds": 120}),
    ],
)
def test_it_understands_what_is_to_happen_to_a_timer(recogniser: Recogniser, text: str, name: str, slots: dict) -> None:
    intent = recogniser.recognise(text)
    assert intent is not None
    assert (intent.name, dict(intent.slots)) == (name, slots)


@pytest.mark.req("T10")
@pytest.mark.parametrize(
    "text",
    [
        "what is the weather now",
        "microwave",
        "rainbow",
        "nonstop flights",
        "hi there is a problem with my computer",
        "hey what is the capital of France",
        "please stop the war in the story you tell me",
        "help me write a letter to my boss",
        "thanks to whom was penicillin found",
        "what time is it in the story when the king dies",
        "add the numbers on this list of mine together",
        "turn on the flux capacitor",
        "set a timer for a fortnight",
        "tell me a story about a timer",
        "cancel culture",
        "who are you going to call",
        "",
        "   ",
        "?!",
        "add to my list",
    ],
)
def test_a_word_in_a_sentence_is_not_a_command(recogniser: Recogniser, text: str) -> None:
    assert recogniser.recognise(text) is None


@pytest.mark.req("T9")
@pytest.mark.parametrize(
    "text",
    [
        "Hey Mynah, what time is it?",
        "mynah what time is it",
        "Okay Mynah: what time is it",
        "WHAT TIME IS IT",
        "What time is it, please?",
        "Please, could you tell me the time?",
        "can you please tell me the time",
        "um, so what time is it",
        "What time is it, Mynah?",
        "“What time is it?”",
        "what\u2019s the time\u2026",
        "  what   time is\tit\n",
    ],
)
def test_names_politeness_and_punctuation_do_not_matter(recogniser: Recogniser, text: str) -> None:
    assert recogniser.recognise(text) == Intent("GetTime")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hey mynah", "Greeting"),
        ("hello mynah", "Greeting"),
        ("thank you", "Thanks"),
        ("OK, stop.", "Stop"),
        ("no thanks", "Nevermind"),
    ],
)
def test_fillers_alone_keep_their_meaning(recogniser: Recogniser, text: str, name: str) -> None:
    assert recogniser.recognise(text).name == name


@pytest.mark.parametrize(
    ("text", "risk"),
    [
        ("what time is it", Risk.NONE),
        ("is the front door locked", Risk.NONE),
        ("set a timer for 5 minutes", Risk.LOW),
        ("turn on the lamp", Risk.LOW),
        ("lock the front door", Risk.LOW),
        ("close the garage door", Risk.LOW),
        ("unlock the front door", Risk.HIGH),
        ("open the garage door", Risk.HIGH),
        ("cancel all timers", Risk.HIGH),
        ("clear my shopping list", Risk.HIGH),
    ],
)
def test_what_opens_a_door_or_loses_something_is_risky(recogniser: Recogniser, text: str, risk: Risk) -> None:
    assert recogniser.recognise(text).risk is risk


def test_a_command_without_an_area_means_the_area_of_the_satellite(recogniser: Recogniser) -> None:
    for text in ("next track", "turn on the lights", "turn all the lights off in here", "what's the temperature"):
        assert recogniser.recognise(text, area="office").text("area") == "office"


def test_a_home_has_its_own_names() -> None:
    home = Home(areas=("crow's nest",), floors=(), devices=(Device("flux capacitor", "switch"),))
    recogniser = Recogniser(home, names=("jarvis",))
    assert recogniser.recognise("jarvis, turn on the flux capacitor").text("name") == "flux capacitor"
    assert recogniser.recognise("turn on the lights in the crow's nest").text("area") == "crow's nest"
    assert recogniser.recognise("turn on the radio") is None
    assert "mynah" not in json.dumps(recogniser.vocabulary())


@pytest.mark.parametrize("name", ["lamp (left)", "a|b", "<the> door", "", "  "])
def test_a_name_that_nobody_can_say_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        Home(areas=(name,))
    with pytest.raises(ValueError, match="cannot be a name"):
        Home(devices=(Device(name, "light"),))


def test_a_very_long_text_is_no_command(recogniser: Recogniser) -> None:
    assert recogniser.recognise("add " + "a and " * 100_000 + "b to my shopping list") is None


@pytest.mark.parametrize("name", ["", "all of my", "5 minute", "every single", "a b c d e f"])
def test_what_is_no_name_does_not_name_a_timer(name: str) -> None:
    with pytest.raises(NotAnIntent):
        values({"timer": name})


WORDS = (
    *("add", "set", "a", "timer", "for", "5", "five", "minutes", "and", "half", "an", "hour", "to", "my", "shopping"),
    *("list", "milk", "cancel", "the", "pizza", "turn", "on", "off", "lights", "kitchen", "mynah", "please", "stop"),
    *(",", ".", "?", "-", "'s", "%", "{", "}", "<", ">", "[", "]", "(", "|", "\x00", "\ud800", "9" * 20),
)


@settings(deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=120),
        st.lists(
            st.sampled_from(WORDS),
            max_size=14,
        ).map(" ".join),
    )
)
def test_whatever_is_said_is_an_intent_or_none(recogniser: Recogniser, text: str) -> None:
    intent = recogniser.recognise(text)
    assert intent is None or intent.name


def test_the_vocabulary_is_finite_and_complete_in_itself(recogniser: Recogniser, said) -> None:
    vocabulary = json.loads(json.dumps(recogniser.vocabulary()))
    assert "wildcard" not in json.dumps(vocabulary)
    intents = Intents.from_dict(vocabulary)
    for name, intent in intents.intents.items():
        for block in intent.data:
            for sentence in block.sentences:
                assert said(sentence.expression, intents, block, Random(name))


@pytest.mark.parametrize(
    "text",
    [
        "what time is it",
        "set a timer for one hour and eight minutes",
        "set a pizza timer for five and a half minutes",
        "add milk to my shopping list",
        "add milk and eggs to my shopping list",
        "turn on the kitchen lights",
        "unlock the front door",
        "what is twenty one plus four",
        "how much is three times five",
        "what do you remember about me",
        "tell me a joke",
        "what's the weather like tomorrow",
    ],
)
def test_the_vocabulary_has(recogniser: Recogniser, text: str) -> None:
    assert recognize_best(text, Intents.from_dict(recogniser.vocabulary()))


def test_the_vocabulary_does_not_lock_lamps(recogniser: Recogniser) -> None:
    intents = Intents.from_dict(recogniser.vocabulary())
    assert recognize_best("lock the front door", intents)
    assert recognize_best("lock the lamp", intents) is None


@pytest.mark.parametrize("seed", range(3))
def test_every_sentence_of_the_vocabulary_is_understood_or_for_the_language_model(
    recogniser: Recogniser, said, seed: int
) -> None:
    intents = Intents.from_dict(recogniser.vocabulary())
    for_model = set(dictionary.own(dictionary.MODEL)["intents"])
    wrong = []
    for name, intent in intents.intents.items():
        for block in intent.data:
            for sentence in block.sentences:
                text = " ".join(said(sentence.expression, intents, block, Random(f"{seed} {sentence.text}")).split())
                found = recogniser.recognise(text)
                if (found.name if found else None) != (None if name in for_model else name):
                    wrong.append((name, text, found))
    assert wrong == []


def test_two_topics_may_not_mean_different_things_by_one_name() -> None:
    one = {"intents": {}, "lists": {}, "expansion_rules": {"the": "[the]"}}
    other = {"intents": {}, "lists": {}, "expansion_rules": {"the": "(the|my)"}}
    with pytest.raises(ValueError, match="different things by the"):
        dictionary.merged([one, other])
