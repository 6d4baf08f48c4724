import asyncio
import http.server
import json
import threading

import pytest

from mynah_tasks.task_types import BadPayload, NotConfigured
from mynah_tasks.task_types.notification import Notifications, NotSent, Refused, Webhook


class Diary:
    """A sender that writes down what it is given."""

    def __init__(self):
        self.sent = []

    async def send(self, notification):
        self.sent.append(notification)


class Receiver(http.server.ThreadingHTTPServer):
    """A web server that answers as it is told and keeps what it was sent."""

    def __init__(self, answer=204, location=None):
        super().__init__(("127.0.0.1", 0), Receiver.Handler)
        self.answer, self.location, self.received = answer, location, []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.received.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(self.server.answer)
            if self.server.location:
                self.send_header("Location", self.server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815  # what the library looks for

        def log_message(self, *_):
            pass


@pytest.fixture
def serve():
    servers = []

    def start(**kwargs):
        server = Receiver(**kwargs)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.req("ENG-03")
async def test_a_notification_goes_over_the_channel_it_names():
    phone, speaker = Diary(), Diary()
    notifications = Notifications({"phone": phone, "default": speaker})
    assert await notifications.process({"message": "The door is open", "channel": "phone", "recipient": "Ada"}) == {
        "channel": "phone",
        "status": "sent",
    }
    await notifications.process({"message": "Tea is ready"})
    assert [(note.message, note.recipient) for note in phone.sent] == [("The door is open", "Ada")]
    assert [note.message for note in speaker.sent] == ["Tea is ready"]


async def test_a_channel_that_is_not_there_says_how_to_configure_it():
    with pytest.raises(NotConfigured, match=r"no channel 'default' \(configured: none\); give .* a sender") as caught:
        await Notifications({}).process({"message": "hello"})
    assert not caught.value.retryable


async def test_a_notification_without_words_is_refused():
    with pytest.raises(BadPayload, match="message"):
        await Notifications({"default": Diary()}).process({"message": ""})


@pytest.mark.req("ENG-03")
async def test_a_webhook_posts_json_with_its_headers(serve):
    server = serve()
    hook = Webhook(server.url, headers={"Authorization": "Bearer secret"})
    await Notifications({"default": hook}).process({"message": "Grüße", "title": "Tea", "data": {"cups": 2}})
    ((path, headers, body),) = server.received
    assert path == "/hook"
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/json", "Bearer secret")
    assert (body["message"], body["title"], body["data"]) == ("Grüße", "Tea", {"cups": 2})


@pytest.mark.parametrize(
    ("answer", "error"), [(500, NotSent), (503, NotSent), (429, NotSent), (400, Refused), (404, Refused)]
)
async def test_an_answer_says_whether_another_attempt_makes_sense(serve, answer, error):
    server = serve(answer=answer)
    with pytest.raises(error, match=str(answer)) as caught:
        await Notifications({"default": Webhook(server.url)}).process({"message": "hello"})
    assert caught.value.retryable is (error is NotSent)


async def test_a_redirect_is_not_followed(serve):
    elsewhere = serve()
    server = serve(answer=302, location=elsewhere.url)
    with pytest.raises(Refused, match="302"):
        await Notifications({"default": Webhook(server.url)}).process({"message": "hello"})
    assert not elsewhere.received


async def test_a_webhook_that_nobody_serves_may_be_tried_again():
    server = Receiver()
    server.server_close()
    with pytest.raises(NotSent, match="cannot be reached"):
        await Notifications({"default": Webhook(server.url)}).process({"message": "hello"})


async def test_a_webhook_that_never_answers_is_given_up():
    async def say_nothing(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotSent):
            await Notifications({"default": Webhook(f"http://127.0.0.1:{port}", limit_seconds=0.05)}).process(
                {"message": "hello"}
            )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org", "example.org", ""])
def test_a_webhook_is_an_http_address(url):
    with pytest.raises(ValueError, match="http or https"):
        Webhook(url)
