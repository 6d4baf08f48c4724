import math

import numpy as np
import pytest

from mynah_tasks.task_types import BadPayload
from mynah_tasks.task_types.analytics import analyse as analyse_data
from mynah_tasks.task_types.text import analyse as analyse_text


@pytest.mark.req("ENG-03")
def test_a_text_is_counted_and_its_keywords_are_found():
    found = analyse_text(
        {"text": "The kitchen light is on. Is the kitchen light too bright? The light!", "keywords": 2}
    )
    assert (found["words"], found["sentences"], found["language"]) == (13, 3, "en")
    assert found["keywords"] == (("light", 3), ("kitchen", 2))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the light in the kitchen is on", "en"),
        ("das Licht in der Küche ist an", "de"),
        ("la lumière est dans la cuisine avec nous", "fr"),
        ("la luz está en el comedor con los perros", "es"),
        ("foo bar", None),
        ("", None),
    ],
)
def test_little_words_give_the_language_away(text, language):
    assert analyse_text({"text": text})["language"] == language


@pytest.mark.parametrize(
    ("text", "sign"), [("I love this, it is wonderful", 1), ("I hate this, it is terrible", -1), ("it is a lamp", 0)]
)
def test_sentiment_has_the_sign_of_the_words(text, sign):
    assert np.sign(analyse_text({"text": text})["sentiment"]) == sign


def test_short_words_and_sentences_are_easy_to_read():
    easy = analyse_text({"text": "The cat sat on the mat. It was a good cat."})["reading_ease"]
    hard = analyse_text(
        {"text": "The incomprehensibility of the constitutional considerations necessitates deliberation."}
    )
    assert easy > 90
    assert hard["reading_ease"] < 20
    assert analyse_text({"text": "das Licht ist an"})["reading_ease"] is None


def test_an_empty_text_is_a_text():
    found = analyse_text({"text": "  … "})
    assert (found["words"], found["sentences"], found["keywords"], found["sentiment"]) == (0, 0, (), 0)


READINGS = [
    {"room": "kitchen", "hour": 0, "celsius": 20.0, "window": "open"},
    {"room": "kitchen", "hour": 1, "celsius": 21.0, "window": "open"},
    {"room": "hall", "hour": 2, "celsius": 22.0, "window": None},
    {"room": "hall", "hour": 3, "celsius": 23.0, "window": "shut"},
    {"room": "hall", "hour": 4, "celsius": None},
]


def ask(data, **question):
    return analyse_data({"data": data, "questions": [question]})["answers"][0]


@pytest.mark.req("ENG-03")
def test_columns_are_described():
    result = analyse_data({"data": READINGS})
    assert (result["rows"], result["columns"]) == (5, ("room", "hour", "celsius", "window"))
    (answer,) = result["answers"]
    assert answer["celsius"] == {
        "count": 4,
        "missing": 1,
        "mean": 21.5,
        "std": pytest.approx(np.std([20, 21, 22, 23], ddof=1)),
        "min": 20.0,
        "quartile_1": 20.75,
        "median": 21.5,
        "quartile_3": 22.25,
        "max": 23.0,
    }
    assert answer["window"] == {"count": 3, "missing": 2, "distinct": 2, "most_common": [["open", 2], ["shut", 1]]}


def test_columns_that_go_together_correlate():
    answer = ask(
        {"a": [1, 2, 3], "b": [2, 4, 6], "c": [3, 2, 1], "flat": [1, 1, 1], "name": ["x", "y", "z"]}, op="correlation"
    )
    assert answer["a"]["b"] == pytest.approx(1)
    assert answer["a"]["c"] == pytest.approx(-1)
    assert answer["a"]["flat"] is None
    assert "name" not in answer


def test_columns_without_a_common_row_do_not_correlate():
    assert ask({"a": [1, None], "b": [None, 1]}, op="correlation")["a"]["b"] is None


@pytest.mark.parametrize(
    ("aggregate", "hall"), [("mean", 22.5), ("sum", 45.0), ("count", 2.0), ("max", 23.0), ("median", 22.5)]
)
def test_groups_have_figures_of_their_own(aggregate, hall):
    answer = ask(READINGS, op="group_by", by="room", column="celsius", aggregate=aggregate)
    assert answer["hall"] == hall
    assert list(answer) == ["hall", "kitchen"]


def test_a_trend_is_the_line_through_the_points():
    assert ask(READINGS, op="trend", column="celsius", over="hour") == {
        "slope": pytest.approx(1),
        "intercept": pytest.approx(20),
        "explained": pytest.approx(1),
    }
    assert ask([5, 5, 5], op="trend", column="value") == {"slope": 0, "intercept": 5, "explained": 1}


def test_outliers_lie_far_from_the_middle_half():
    answer = ask([10, 11, 10, 12, 11, 99, None], op="outliers", column="value")
    assert (answer["rows"], answer["values"]) == ([5], [99.0])


@pytest.mark.parametrize(
    ("data", "question", "said"),
    [
        ({"a": [1], "b": [1, 2]}, {"op": "describe"}, "one length"),
        ([1, 2], {"op": "trend", "column": "nothing"}, "no column 'nothing', only value"),
        ([1], {"op": "trend", "column": "value"}, "two different points"),
        ({"a": ["x"]}, {"op": "outliers", "column": "a"}, "no numbers"),
        ([math.inf], {"op": "describe"}, "data"),
        ([1], {"op": "guess"}, "questions"),
    ],
)
def test_questions_that_have_no_answer_are_refused(data, question, said):
    with pytest.raises(BadPayload, match=said):
        ask(data, **question)


def test_an_empty_table_has_no_columns():
    assert analyse_data({"data": []}) == {"rows": 0, "columns": (), "answers": ({},)}
