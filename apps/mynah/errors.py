"""What a command says when it cannot do what it was asked for."""

from mynah_bus import MynahError


class CommandFailed(MynahError):
    """A command failed for a reason that its user can understand."""

    code = "command"
