"""What each attempt cost, for those who look for what is slow."""

import json
from collections import deque
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from mynah_tasks.attempts import Attempt


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt; times in seconds."""

    task_id: str
    task_type: str
    tags: Collection[str]
    attempt: int
    worker: str
    kind: str
    """Where it ran: inline, thread, process or model_thread."""
    ended: str
    """completed, failed, timeout, or what took the task away from it."""
    waited: float
    """From being ready to being begun."""
    took: float

    @classmethod
    def of(cls, attempt: Attempt, ended: str, now: float) -> "Attempted":
        """What an attempt cost that has ended now, in monotonic seconds."""
        task = attempt.claim.task
        return cls(
            task_id=task.id,
            task_type=task.task_type,
            tags=task.tags,
            attempt=attempt.claim.attempt,
            worker=attempt.worker_id,
            kind=attempt.kind,
            ended=ended,
            waited=attempt.claim.waited,
            took=now - attempt.started,
        )


@dataclass(slots=True)
class TagUse:
    """What the attempts with one tag cost together."""

    attempts: int = 0
    completed: int = 0
    waited: float = 0.0
    took: float = 0.0


class Profiler:
    """The last `keep` attempts, and sums by tag."""

    def __init__(self, keep: int = 1000) -> None:
        self._attempts: deque[Attempted] = deque(maxlen=keep)

    def add(self, attempted: Attempted) -> None:
        """Remember an attempt."""
        self._attempts.append(attempted)

    def attempts(self, tag: str | None = None) -> list[Attempted]:
        """The attempts, all or those with a tag, oldest first."""
        return [attempted for attempted in self._attempts if tag is None or tag in attempted.tags]

    def by_tag(self) -> dict[str, TagUse]:
        """What each tag cost; what has none counts under the empty one."""
        sums: dict[str, TagUse] = {}
        for attempted in self._attempts:
            for tag in attempted.tags or ("",):
                use = sums.setdefault(tag, TagUse())
                use.attempts += 1
                use.completed += attempted.ended == "completed"
                use.waited += attempted.waited
                use.took += attempted.took
        return sums

    def dump(self, path: Path) -> None:
        """Write all of it as JSON; blocks."""
        rows = [asdict(attempted) | {"tags": sorted(attempted.tags)} for attempted in self._attempts]
        tags = {tag: asdict(use) for tag, use in sorted(self.by_tag().items())}
        path.write_text(json.dumps({"attempts": rows, "tags": tags}, indent=2))
