import asyncio

import pytest

from mynah_resilience import AgentMessage, AgentRole, EventBus, MessageBus, WrongThread, get_message_bus
from mynah_resilience.messages import AGENT_MESSAGE


@pytest.mark.req("SES-01")
async def test_a_posted_message_reaches_everyone_who_listens() -> None:
    bus = MessageBus(clock=lambda: 12.5)
    heard: list[AgentMessage] = []
    bus.subscribe(heard.append)

    assert await bus.post_message(role=AgentRole.SYSTEM, content="starting") is None
    await bus.post_message(role=AgentRole.EMPLOYEE, content="working")
    assert bus.unsubscribe(heard.append)
    await bus.post_message(role=AgentRole.MANAGER, content="nobody listens")

    assert [(m.role, m.content, m.requires_response, m.at) for m in heard] == [
        ("system", "starting", False, 12.5),
        ("employee", "working", False, 12.5),
    ]
    assert heard[0].id != heard[1].id
    assert [event.name for event in bus.events.history] == [AGENT_MESSAGE] * 3


@pytest.mark.req("SES-01")
def test_there_is_one_message_bus_in_a_process() -> None:
    assert get_message_bus() is get_message_bus()


@pytest.mark.req("SES-04", "FLAW-W4")
async def test_an_answer_given_inside_the_listener_is_not_lost() -> None:
    bus = MessageBus()

    async def answer(message: AgentMessage) -> None:
        assert bus.respond(message.id, "yes")

    bus.subscribe(answer)
    assert await bus.post_message(AgentRole.MANAGER, "Shall I?", requires_response=True) == "yes"
    assert bus.open_questions == ()


@pytest.mark.req("SES-04")
async def test_an_answer_may_come_later_and_only_once() -> None:
    bus = MessageBus(EventBus())
    asked: asyncio.Queue[AgentMessage] = asyncio.Queue()
    bus.subscribe(asked.put)
    question = asyncio.create_task(bus.post_message(AgentRole.SUPERVISOR, "Accept?", requires_response=True))
    message_id = (await asked.get()).id
    assert bus.open_questions == (message_id,)
    assert bus.respond(message_id, "no")
    assert not bus.respond(message_id, "yes")
    assert await question == "no"
    assert not bus.respond(message_id, "too late")


@pytest.mark.req("SES-04")
async def test_a_question_that_nobody_answers_ends_with_a_timeout() -> None:
    bus = MessageBus()
    with pytest.raises(TimeoutError):
        await bus.post_message(AgentRole.SYSTEM, "Anyone?", requires_response=True, timeout=0)
    assert bus.open_questions == ()


@pytest.mark.req("CON-06")
async def test_the_message_bus_belongs_to_one_thread() -> None:
    bus = MessageBus()
    await bus.post_message(AgentRole.SYSTEM, "here")
    with pytest.raises(WrongThread, match="message bus belongs to 'MainThread'"):
        await asyncio.to_thread(bus.respond, "any", "answer")
    with pytest.raises(WrongThread):
        await asyncio.to_thread(asyncio.run, bus.post_message(AgentRole.SYSTEM, "there"))
