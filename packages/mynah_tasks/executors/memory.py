"""How much memory is free for this process, and a gate that lets heavy work in only where it fits."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

from mynah_tasks.executors.errors import NotEnoughMemory

MIB = 2**20


class MemoryGate:
    """Lets memory-heavy work in, first come first served, as long as `need` bytes are free for each.

    What was let in but has not allocated yet counts as well. When nothing heavy runs and one would still not fit,
    it is refused: waiting for strangers to free memory is left to the retry policy.
    """

    def __init__(self, need: int = 512 * MIB, free: Callable[[], int] | None = None) -> None:
        self.need = need
        self.running = 0
        self._free = free or free_memory
        self._budget = 0
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """A block that holds `need` bytes; entered when they are free.

        Raises:
            NotEnoughMemory: they are not, and nothing of ours will free them.
        """
        async with self._turn:
            while not self._fits():
                self._left.clear()
                await self._left.wait()
            self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._left.set()

    def fits_beside(self, others: int) -> bool:
        """Whether one more would be let in beside so many, as far as can be seen from any thread."""
        return self._suffices(self._free(), others)

    def _fits(self) -> bool:
        free = self._free()
        self._budget = max(free, self._budget) if self.running else free
        if self._suffices(free, self.running):
            return True
        if not self.running:
            raise NotEnoughMemory(f"{free // MIB} MiB are free, a memory-heavy task needs {self.need // MIB}")
        return False

    def _suffices(self, free: int, others: int) -> bool:
        return free >= self.need and (others + 1) * self.need <= max(free, self._budget)


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still take: what the machine has free, or its control groups leave it."""
    return min([_free_on_machine(root), *_free_in_groups(root)])


def _free_on_machine(root: Path) -> int:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux: nobody says what is free, only what there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _free_in_groups(root: Path) -> Iterator[int]:
    """What is left in each group that we are in, and in those around it; a group without a limit says nothing."""
    for group, limit, used, reclaimable in _groups(root):
        try:
            most = (group / limit).read_text().strip()
            in_use = int((group / used).read_text())
            statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        if most != "max":
            yield max(0, int(most) - in_use + int(statistics.get(reclaimable, 0)))


def _groups(root: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Our groups and their parents, with the names of the files of their version of control groups."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        inside = PurePosixPath(name.lstrip("/"))
        if not controllers:
            mount, files = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # A container often sees its own group as the mount itself, under a name that does not exist there.
        for group in (inside, *inside.parents):
            yield (mount / group, *files)
