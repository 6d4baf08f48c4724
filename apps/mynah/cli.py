"""The command line."""

import asyncio
import contextlib
import io
import json
import os
import shlex
import signal
import sys
import time
import tomllib
from collections.abc import Coroutine, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.text import Text

from mynah.errors import CommandFailed
from mynah.fleet import MODULES
from mynah.terminal import Terminal
from mynah_bus import BusSettings, MynahError, logs
from mynah_bus.mosquitto import passwords
from mynah_bus.mqtt import Address
from mynah_contracts import CATALOGUE, Role, Step

T = TypeVar("T")

app = typer.Typer(
    help="A voice assistant that runs as a fleet of small workers over an MQTT broker.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
broker_app = typer.Typer(help="The broker: who may do what.", no_args_is_help=True)
app.add_typer(broker_app, name="broker")
console = Terminal()

EXPECTED = (MynahError, OSError, ValueError)
"""What is the user's to know, not ours to mend."""
TIME_OF_DAY = "%H:%M:%S"
BROKEN_PIPE = 128 + signal.SIGPIPE
SCALABLE = (Role.STT, Role.LLM, Role.TTS)
"""The others hold what there is one of: a conversation, a memory, a room."""
MOST_WORKERS = 16

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def up(
    scale: Annotated[list[str] | None, typer.Option(help="More workers of a role, such as stt=2.")] = None,
) -> None:
    """Run a broker and every worker on this machine, until Ctrl-C."""
    from mynah.up import up as run_up  # noqa: PLC0415  # a command loads what it needs

    _run(run_up(_settings(), _counts(scale or ())))


@app.command()
def run(worker: Annotated[str, typer.Argument(help=f"One of {', '.join(MODULES)}.")]) -> None:
    """Run one worker against any broker."""
    if worker not in MODULES:
        raise CommandFailed(f"{worker} is no worker; there are {', '.join(MODULES)}.")
    os.execv(sys.executable, [sys.executable, "-m", MODULES[Role(worker)]])  # noqa: S606  # our own module


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="What you want to know.")],
    user: Annotated[str, typer.Option(help="Whose memories may be used.")] = "",
    as_json: AsJson = False,
) -> None:
    """Ask the assistant in writing."""
    from mynah import talk  # noqa: PLC0415

    answer = _run(talk.ask(_settings(), text, user))
    _show(answer, as_json, answer["reply"])


@app.command()
def turn(
    question: Annotated[Path, typer.Argument(help="A recording of a question, WAV.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the spoken answer goes, WAV.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask with a recording, get a recording."""
    from mynah import talk  # noqa: PLC0415
    from mynah.view import View  # noqa: PLC0415

    ended = _run(talk.turn(_settings(), question, output))
    if as_json:
        _show(ended, True, "")
    else:
        steps = [Step.model_validate(step) for step in ended["steps"]]
        view = View(console, lambda: time.strftime(TIME_OF_DAY))
        console.print(view.told(ended["transcript"], ended["reply"], steps, ended["total_ms"]), end="")


@app.command()
def transcribe(
    recording: Annotated[Path, typer.Argument(help="A WAV file of any rate, up to two minutes; - is standard input.")],
    language: Annotated[str | None, typer.Option(help="Such as en.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a recording into words."""
    from mynah import talk  # noqa: PLC0415

    heard = _run(talk.transcribe(_settings(), recording, language))
    _show(heard, as_json, heard["text"] or "(nothing that could be understood)")


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What is to be spoken.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A WAV file, or - for standard output; else it is spoken.")
    ] = None,
    voice: Annotated[str | None, typer.Option(help="Such as en-us or de.")] = None,
    satellite: Annotated[str, typer.Option(help="Where it is spoken.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Speak a text, into a file or at a satellite."""
    from mynah import talk  # noqa: PLC0415

    if as_json and output == talk.PIPE:
        raise CommandFailed("-o - and --json both want standard output; give a file's name.")
    said = _run(talk.say(_settings(), text, output, voice, satellite))
    if output != talk.PIPE:
        where = f"in {output}" if output else f"at {satellite}"
        _show(said, as_json, f"{said['seconds']:.1f} s of speech {where}")


@app.command()
def listen(
    raw: Annotated[bool, typer.Option("--raw", help="Every message: its topic and its JSON.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every message: one JSON object a line.")] = False,
) -> None:
    """Follow what is said and done, live, until Ctrl-C."""
    from mynah.listen import listen as follow  # noqa: PLC0415

    _run(follow(_settings(), raw=raw, as_json=as_json))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show every worker and how it is."""
    from mynah import watch  # noqa: PLC0415

    workers = _run(watch.status(_settings()))
    if as_json:
        _show({"workers": workers}, True, "")
    else:
        console.print(watch.status_table(workers, console.width))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is wrong on this machine, and what to do about it."""
    from mynah.doctor import examine  # noqa: PLC0415

    findings = _run(examine(_settings()))
    if as_json:
        _show({"findings": [asdict(finding) for finding in findings]}, True, "")
    else:
        for finding in findings:
            fine = Text.assemble(("✓ ", "green"), finding.what)
            console.print(fine if finding.ok else Text.assemble((f"✗ {finding.what}: ", "red"), finding.remedy))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def contracts(as_json: AsJson = False) -> None:
    """List every message: its topic, who sends it and who hears it."""
    declared = [kind.contract for kind in CATALOGUE.values() if kind.contract.topic]
    if as_json:
        rows = [{"topic": c.topic, "kind": c.kind.value, "by": list(c.by), "to": list(c.to)} for c in declared]
        _show({"messages": rows}, True, "")
        return
    for contract in sorted(declared, key=lambda contract: contract.topic or ""):
        who = f"{', '.join(contract.by)} → {', '.join(contract.to)}"
        console.print(f"{contract.topic:<28} {contract.kind.value:<8} {who}")


@broker_app.command()
def args(user: Annotated[Role, typer.Argument(help="As whom to connect.", show_choices=False)] = Role.GUEST) -> None:
    """Print the -h -p -u -P for mosquitto's tools."""
    settings = _settings()
    address = Address.parse(settings.broker_url)
    username, password = settings.credentials(user)
    options = ["-h", address.host, "-p", str(address.port)]
    if username is None:
        raise CommandFailed(f"There are no passwords in {settings.home} yet; `mynah up` makes them.")
    console.out(shlex.join([*options, "-u", username, "-P", password or ""]), highlight=False)


@broker_app.command("run")
def run_broker(
    host: Annotated[str, typer.Option(help="The address it listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port it listens on.", min=1, max=65_535)] = 1883,
    secrets: Annotated[Path | None, typer.Option(help="Where folders ROLE are that get a password each.")] = None,
) -> None:
    """Run a mosquitto with a user for each role, until it is stopped."""
    from mynah.up import broker_alone  # noqa: PLC0415

    _run(broker_alone(_settings(), host, port, secrets))


@broker_app.command()
def init() -> None:
    """Make the passwords of every role, where there are none yet."""
    settings = _settings()
    passwords(settings.home)
    console.out(f"The passwords are in {settings.home}.", highlight=False)


def main() -> None:
    """Run the command line; what its user can mend is one sentence on standard error, and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no bars still gets the words
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush has no reader
        sys.exit(BROKEN_PIPE)
    except EXPECTED as error:
        Terminal(stderr=True).print(Text.assemble(("mynah: ", "red"), _sentence(error)))
        sys.exit(1)


def _counts(scale: Iterable[str]) -> dict[Role, int]:
    """How many workers of each role; CommandFailed says what is wrong with what was wanted."""
    counts = dict.fromkeys(MODULES, 1)
    for wanted in scale:
        name, _, number = wanted.partition("=")
        if name not in SCALABLE or not (number.isascii() and number.isdigit()) or int(number) > MOST_WORKERS:
            roles = ", ".join(SCALABLE)
            raise CommandFailed(
                f"--scale takes {roles} and a number up to {MOST_WORKERS}, such as stt=2; not {wanted!r}."
            )
        counts[Role(name)] = int(number)
    return counts


def _sentence(error: BaseException) -> str:
    """What went wrong, in one sentence; of a setting or an argument, which one."""
    words = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        shown = f"MYNAH_{name}".upper() if error.title == BusSettings.__name__ else name
        words = f"{shown}: {first['msg']}"
    elif isinstance(error, OSError) and error.strerror:
        words = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return words if words.endswith((".", "?", "!")) else f"{words}."


def _settings() -> BusSettings:
    """The settings; CommandFailed or ValueError says which file is damaged."""
    try:
        settings = BusSettings()
    except tomllib.TOMLDecodeError as error:
        raise CommandFailed(f"mynah.toml is not valid: {error}.") from error
    except UnicodeDecodeError as error:
        raise CommandFailed("mynah.toml or .env is not text in UTF-8.") from error
    with contextlib.suppress(OSError):  # whoever needs a password says that there is none
        settings.credentials(Role.GUEST)
    logs.set_up("DEBUG" if settings.log_level == "DEBUG" else "ERROR", settings.log_format)
    return settings


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command; Ctrl-C ends it, a second one at once."""
    try:
        return asyncio.run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None


def _show(what: dict[str, Any], as_json: bool, words: str) -> None:  # noqa: FBT001  # an option's value
    console.out(json.dumps(what, ensure_ascii=False) if as_json else words, highlight=False)
