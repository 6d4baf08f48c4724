"""What an exception says of itself, however it behaves when it is asked."""

LONGEST_TEXT = 16_000


def text_of(error: BaseException) -> str:
    """Its own text: at most `LONGEST_TEXT` characters, all of which can be encoded."""
    try:
        text = str(error)
    except Exception as worse:  # noqa: BLE001  # an exception's own text may raise anything
        text = f"its text raised {type(worse).__qualname__}"
    return encodable(text[:LONGEST_TEXT])


def encodable(text: str) -> str:
    """The text with a question mark for each half of a character."""
    return text.encode(errors="replace").decode()


def may_help_again(error: BaseException) -> bool:
    """Whether it leaves room for another attempt: not with `retryable = False`."""
    try:
        return bool(getattr(error, "retryable", True))
    except Exception:  # noqa: BLE001  # likewise, anything
        return True
