"""What was done is remembered by its number, what was said by its size."""

from mynah_bus.answers import Answers, Request
from mynah_bus.packet import Packet


def request(number: int) -> Request:
    return Request("mynah/reply/guest/1", str(number))


def test_the_latest_requests_are_known_and_older_ones_are_not():
    answers = Answers(most=3)
    for number in range(5):
        answers.keep(request(number), [Packet("t", b"%d" % number)])
    assert [answers.get(request(number)) for number in range(5)] == [
        None,
        None,
        *([Packet("t", b"%d" % number)] for number in (2, 3, 4)),
    ]


def test_of_answers_that_are_too_large_together_the_oldest_goes_and_its_request_stays_known():
    answers = Answers(most_bytes=400)
    for number in range(9):
        answers.keep(request(number), [Packet("t", bytes(40)), Packet("t", b"", correlation=bytes(5))])
    assert [len(answers.get(request(number))) for number in range(9)] == [0, *[2] * 8]


def test_an_answer_that_takes_too_much_of_the_room_is_not_kept_and_drives_out_no_other():
    answers = Answers(most_bytes=100)
    for number, size in enumerate((25, 26, 101)):
        answers.keep(request(number), [Packet("t", bytes(size))])
    assert [len(answers.get(request(number))) for number in range(3)] == [1, 0, 0]


def test_what_no_longer_counts_makes_room():
    answers = Answers(most=1, most_bytes=400)
    for number in range(10):
        answers.keep(request(number), [Packet("t", bytes(60))])
        assert answers.get(request(number)) == [Packet("t", bytes(60))]


def test_a_request_that_was_not_answered_is_known():
    answers = Answers()
    answers.keep(request(1), [])
    assert answers.get(request(1)) == []
