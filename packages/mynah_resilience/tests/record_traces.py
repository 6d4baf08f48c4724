"""Records what a breaker sees of a real server: `python record_traces.py healthy|degrading > data/NAME.csv`.

The server on loopback answers one request at a time in about 4 ms, now and then in 60 ms. `healthy` asks it at a
steady half of its capacity; `degrading` asks more and more often, until the queue grows and calls miss their deadline.
"""

import asyncio
import csv
import random
import sys
import time

DEADLINE = 0.4
CALLS = {"healthy": 2000, "degrading": 1200}


async def main(kind: str) -> None:
    chance = random.Random(7)
    one_at_a_time = asyncio.Lock()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        async with one_at_a_time:
            await asyncio.sleep(0.06 if chance.random() < 0.02 else chance.lognormvariate(-5.5, 0.4))
        writer.write(b"done\n")
        writer.close()

    async def call() -> tuple[float, float, int]:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(DEADLINE):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"do\n")
                await reader.readline()
                writer.close()
        except TimeoutError:
            return began - start, time.perf_counter() - start, 0
        return began - start, time.perf_counter() - start, 1

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    start = time.perf_counter()
    calls: list[tuple[float, float, int]] = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(CALLS[kind]):
            task = tasks.create_task(call())
            task.add_done_callback(lambda task: calls.append(task.result()))
            growth = max(0, number - 600) / 600 if kind == "degrading" else 0
            await asyncio.sleep(0.012 / (1 + 4 * growth))
    async with one_at_a_time:
        pass  # the requests that nobody waits for any more are through
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["began_s", "ended_s", "succeeded"])
    out.writerows((f"{began:.4f}", f"{ended:.4f}", succeeded) for began, ended, succeeded in calls)


asyncio.run(main(sys.argv[1]))
