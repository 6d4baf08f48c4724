"""Units are converted as people ask for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_worker.engines.units import BY_NAME, convert


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("how many feet are in a mile", "1 mile is 5280 feet."),
        ("how many feet are there in a mile?", "1 mile is 5280 feet."),
        ("how many minutes are in three hours", "3 hours is 180 minutes."),
        ("how many inches is two and a half feet", "2.5 feet is 30 inches."),
        ("what is 20 degrees celsius in fahrenheit", "20 degrees Celsius is 68 degrees Fahrenheit."),
        ("72 Fahrenheit to Celsius", "72 degrees Fahrenheit is about 22.222 degrees Celsius."),
        ("-5 °C in °F", "Minus 5 degrees Celsius is 23 degrees Fahrenheit."),
        ("minus forty celsius to fahrenheit", "Minus 40 degrees Celsius is minus 40 degrees Fahrenheit."),
        ("what is 0 kelvin in celsius", "0 kelvin is minus 273.15 degrees Celsius."),
        ("convert ten miles to kilometres", "10 miles is about 16.093 kilometers."),
        ("10km to miles", "10 kilometers is about 6.2137 miles."),
        ("what's 100 km/h in mph", "100 kilometers per hour is about 62.137 miles per hour."),
        ("convert five hundred grams to pounds", "500 grams is about 1.1023 pounds."),
        ("how many grams in twenty-five ounces", "25 ounces is about 708.74 grams."),
        ("how many cups in a liter", "1 liter is about 4.2268 US cups."),
        ("convert 3 miles to kilograms", "I can't convert miles to kilograms."),
    ],
)
def test_a_question_about_units_is_answered(question, answer):
    assert convert(question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "",
        "in",
        "how many people are in a room",
        "what time is it in london",
        "what is 5 in words",
        "turn the lights in the kitchen to green",
        "feet in " * 100,
    ],
)
def test_other_questions_are_left_alone(question):
    assert convert(question) is None


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_name_of_a_unit_is_understood(name):
    assert convert(f"convert 2 {name} to {name}") == f"2 {BY_NAME[name].plural} is 2 {BY_NAME[name].plural}."


pieces = st.sampled_from(
    ["how many", "convert", "in", "to", "is", "a", "minus", "-", "two", "point", "feet", "°c", " "]
)


@given(st.lists(pieces, max_size=20).map(" ".join) | st.text(max_size=250))
def test_any_text_is_survived(text):
    answer = convert(text)
    assert answer is None or answer.endswith(".")
