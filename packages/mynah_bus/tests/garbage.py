"""What people, programs and networks may send instead of a message."""

from collections.abc import Iterator

import orjson
from hypothesis import strategies as st

from mynah_contracts import CATALOGUE, HEADER
from mynah_contracts.tests.strategies import ANY_JSON

DEEP = b'{"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
DEEPER = b"[" * 200_000 + b"]" * 200_000

HOSTILE = {
    "nothing": b"",
    "one byte": b"{",
    "NUL": b"\x00",
    "deep": DEEP,
    "deeper": DEEPER,
    "NaN": b'{"data": {"text": NaN}}',
    "Infinity": b'{"ts": Infinity, "data": {"text": "x"}}',
    "1e400": b'{"data": {"text": "x", "top_k": 1e400}}',
    "a huge integer": b'{"data": {"text": "x", "top_k": ' + b"9" * 5000 + b"}}",
    "a lone surrogate": b'{"data": {"text": "\\ud800"}}',
    "invalid UTF-8": b'{"data": {"text": "\xff\xfe"}}',
    "null": b"null",
    "a number": b"1",
    "a string": b'"text"',
    "null data": b'{"data": null}',
    "data that is a list": b'{"data": []}',
    "a negative version": b'{"v": -1, "data": {"text": "x"}}',
    "a version that is a string": b'{"v": "new", "data": {"text": "x"}}',
    "a newer version": b'{"v": 99, "data": {"text": "x"}}',
    "a long id": b'{"id": "' + b"x" * 1000 + b'", "data": {"text": "x"}}',
    "another type": b'{"type": "tts.say", "data": {"text": "x"}}',
    "an unknown type": b'{"type": "no.such", "data": {"text": "x"}}',
    "a number too large": b'{"data": {"text": "x", "top_k": 51}}',
    "too long a text": b'{"data": {"text": "' + b"x" * 20_001 + b'"}}',
}

NASTY = st.sampled_from([payload for payload in HOSTILE.values() if len(payload) < 50_000])
ALMOST = st.fixed_dictionaries(
    {},
    optional={
        "id": ANY_JSON,
        "type": st.sampled_from([*CATALOGUE, "", "x"]) | ANY_JSON,
        "v": st.integers(-1, 3) | ANY_JSON,
        "ts": ANY_JSON,
        "reply_to": ANY_JSON,
        "priority": ANY_JSON,
        "data": ANY_JSON,
    },
)
PIECES = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"data"', b":", b",", b"NaN", b"1e999", b'"\\udfff"', b"\xff", b"9" * 400]
    ),
    max_size=30,
).map(b"".join)
PAYLOADS = st.binary(max_size=64) | PIECES | NASTY | ALMOST.map(orjson.dumps) | ANY_JSON.map(orjson.dumps)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([HEADER, "language", "n", "x"]),
        st.text(max_size=10) | ALMOST.map(lambda x: orjson.dumps(x).decode()),
    ),
    max_size=3,
).map(tuple)


def damaged(payload: bytes, how_often: int) -> Iterator[bytes]:
    """A payload, and the same cut short, doubled, and with one byte changed."""
    yield payload
    yield payload + payload
    for n in range(2, how_often):
        at = n * 7919 % (len(payload) + 1)
        yield payload[:at] if n % 2 else payload[:at] + bytes([n * 31 % 256]) + payload[at + 1 :]
