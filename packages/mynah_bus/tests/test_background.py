"""What goes wrong in the background is raised as it is, and none of it is lost."""

import asyncio

import pytest

from mynah_bus.background import background


async def have_failing(*why: str) -> None:
    """Have so many tasks fail while a block waits."""

    async def fail(text: str) -> None:
        raise ConnectionError(text)

    async with background() as tasks:
        for text in why:
            tasks.create_task(fail(text))
        await asyncio.Event().wait()


async def test_what_goes_wrong_in_a_task_ends_the_block_and_is_raised_as_it_is():
    with pytest.raises(ConnectionError, match=r"^gone$"):
        await have_failing("gone")


async def test_what_else_goes_wrong_is_in_the_log(caplog):
    with pytest.raises(ConnectionError, match=r"^first$"):
        await have_failing("first", "second")
    assert [str(record.exc_info[1]) for record in caplog.records] == ["second"]
