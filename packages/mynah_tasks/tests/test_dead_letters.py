"""All dead letters at once."""

import asyncio

from mynah_tasks.task import Task


async def test_all_dead_letters_are_replayed_the_oldest_first_as_far_as_there_is_room(start, store, puppet) -> None:
    engine = await start(store, queue_size=105, max_workers=1)
    for n in range(110):
        await engine.wait_for_task(await engine.submit(Task("boom", n, max_retries=0)))
    await engine.submit(Task("work"))
    await puppet.next()
    new = await engine.replay_all()
    assert [(await engine.get_task(task_id)).task.payload for task_id in new] == list(range(105))
    assert [letter.task for letter in await engine.dead_letters()] == [109, 108, 107, 106, 105]


async def test_two_who_replay_all_dead_letters_share_them(start, store) -> None:
    engine = await start(store, max_workers=1)
    for n in range(10):
        await engine.wait_for_task(await engine.submit(Task("boom", n, max_retries=0)))
    here, there = await asyncio.gather(engine.replay_all(), engine.replay_all())
    replayed = [(await engine.get_task(task_id)).task.payload for task_id in [*here, *there]]
    assert sorted(replayed) == list(range(10))
