"""Sums are understood as people say them, and answered exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_worker.engines.arithmetic import solve, spoken
from llm_worker.engines.expression import SAID
from llm_worker.engines.number_words import WORDS, read_number


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what is twelve plus thirty", "12 plus 30 is 42."),
        ("What's 15 percent of 80?", "15 percent of 80 is 12."),
        ("twenty-five minus 7", "25 minus 7 is 18."),
        ("how much is 7 times 8 ?", "7 times 8 is 56."),
        ("calculate 6*7", "6 times 7 is 42."),
        ("what is 2 + 2 =", "2 plus 2 is 4."),
        ("9 over 3 equals what", "9 divided by 3 is 3."),
        ("what does 3 plus 4 make please", "3 plus 4 is 7."),
        ("add three and four", "3 plus 4 is 7."),
        ("subtract 3 from ten", "10 minus 3 is 7."),
        ("the difference between 10 and 4", "10 minus 4 is 6."),
        ("multiply a hundred by one point five", "100 times 1.5 is 150."),
        ("divide 10 by 4", "10 divided by 4 is 2.5."),
        ("10 mod 3", "10 modulo 3 is 1."),
        ("half of 10", "Half of 10 is 5."),
        ("two thirds of nine", "2 thirds of 9 is 6."),
        ("two and a half times 2", "2 and a half times 2 is 5."),
        ("80 plus 15 percent", "80 plus 15 percent is 92."),
        ("100 minus 10 percent", "100 minus 10 percent is 90."),
        ("20 percent of 50 plus 3", "20 percent of 50 plus 3 is 13."),
        ("2 squared", "2 squared is 4."),
        ("three cubed plus one", "3 cubed plus 1 is 28."),
        ("2 ^ 10", "2 to the power of 10 is 1024."),
        ("4 to the power of 0.5", "4 to the power of 0.5 is 2."),
        ("two to the power of minus one", "2 to the power of minus 1 is 0.5."),
        ("square root of 144", "The square root of 144 is 12."),
        ("minus three times minus four", "Minus 3 times minus 4 is 12."),
        ("2 plus 3 times 4", "2 plus 3 times 4 is 14."),
        ("10 minus 4 minus 3", "10 minus 4 minus 3 is 3."),
        ("(3+4)*12", "That is 84."),
        ("0.1+0.2", "0.1 plus 0.2 is 0.3."),
        ("1/3+1/6", "1 divided by 3 plus 1 divided by 6 is 0.5."),
        ("1,000,000 * 2.5 million", "1000000 times 2500000 is 2500000000000."),
    ],
)
def test_a_sum_is_answered(question, answer):
    assert solve(question) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("10 divided by 3", "10 divided by 3 is about 3.3333."),
        ("12345 divided by 7", "12345 divided by 7 is about 1763.57."),
        ("1 divided by 64", "1 divided by 64 is 0.015625."),
        ("square root of 2", "The square root of 2 is about 1.4142."),
        ("2^100", "2 to the power of 100 is about 1.27 times 10 to the power of 30."),
        ("0 minus 2^100", "0 minus 2 to the power of 100 is about minus 1.27 times 10 to the power of 30."),
    ],
)
def test_what_is_not_exact_is_rounded_and_said_to_be(question, answer):
    assert solve(question) == answer


@pytest.mark.parametrize("question", ["10 / 0", "zero to the power of minus one", "5 mod 0", "1/(2-2)"])
def test_division_by_zero_is_answered_politely(question):
    assert solve(question) == "I can't divide by zero."


@pytest.mark.parametrize(
    "question",
    ["2**99999999999", "9^9^9^9", "10 to the power of a trillion", "((9^300)^2)^2", "(9^300)*(9^300)*(9^300)"],
)
def test_a_huge_result_is_refused_at_once(question):
    assert solve(question) == "That number is too large for me."


def test_a_tiny_result_is_refused_at_once():
    assert solve("10 to the power of minus a trillion") == "That number is too small for me."


@pytest.mark.parametrize("question", ["the square root of minus 4", "(0-8)^0.5"])
def test_a_root_of_a_negative_number_is_answered_politely(question):
    assert solve(question) == "I can't take a root of a negative number."


@pytest.mark.parametrize(
    "question",
    [
        "",
        "what time is it",
        "what is five",
        "minus five",
        "20 percent",
        "one two three plus four",
        "plus",
        "twelve times",
        "(1 + 2",
        "1 + 2)",
        "2 + x",
        "1e5 + 2",
        "²",
        "__import__('os').system('true') + 1",
        "-" * 400,
        "(" * 200 + "1" + ")" * 200 + "+1",
        "9" * 40 + "+1",
        "1+" * 400 + "1",
        "set a timer for five minutes",
    ],
)
def test_what_is_not_a_sum_is_left_alone(question):
    assert solve(question) is None


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("zero", 0),
        ("nineteen", 19),
        ("forty two", 42),
        ("a hundred", 100),
        ("fifteen hundred", 1_500),
        ("three hundred and five", 305),
        ("three hundred and five thousand and two", 305_002),
        ("one million two hundred thirty four thousand five hundred sixty seven", 1_234_567),
        ("a thousand", 1_000),
        ("three point one four", Fraction("3.14")),
        ("2.5 million", 2_500_000),
        ("one point two billion", 1_200_000_000),
        ("1,234.5", Fraction("1234.5")),
    ],
)
def test_a_number_in_words_is_read(words, number):
    assert read_number(words.split()) == (number, len(words.split()))


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("one two", 1),
        ("twenty thirty", 1),
        ("three and four", 1),
        ("one hundred and", 2),
        ("five point", 1),
        ("one thousand five thousand", 3),
    ],
)
def test_reading_stops_where_the_number_ends(words, read):
    assert read_number(words.split()).words == read


@pytest.mark.parametrize("words", ["", "and", "a", "point five", "apple", "9" * 31, "1,00"])
def test_what_is_no_number_is_not_read(words):
    assert read_number(words.split()) is None


@given(st.integers(-(10**14), 10**14), st.integers(-(10**14), 10**14))
def test_addition_is_exact(one, other):
    total = spoken(Fraction(one + other))
    assert solve(f"{one} plus {other}") == f"{_capital(one)} plus {spoken(Fraction(other))} is {total}."


def _capital(number):
    said = spoken(Fraction(number))
    return said[0].upper() + said[1:]


vocabulary = sorted(
    {said for ways in SAID.values() for said in ways} | set(WORDS) | {"point", "7", "0", "1.5", "what is"}
)


@given(st.lists(st.sampled_from(vocabulary), max_size=40).map(" ".join))
def test_any_mixture_of_its_words_ends_in_a_sentence_or_nothing(text):
    answer = solve(text)
    assert answer is None or (answer.endswith(".") and answer[0] == answer[0].upper())


@given(st.text(max_size=600))
def test_any_text_is_survived(text):
    answer = solve(text)
    assert answer is None or answer.endswith(".")
