# SPDX-License-Identifier: MIT
"""A service of asyncio: a socket of lines, coroutines as functions under limits, work on
threads awaited.

    service.py [PORT]     # without a port it asks itself a few things, and ends
"""

import asyncio
import sys

import faas

app = faas.App("service", worker_max=2)
crc = app.symbol("libz.so.1", "crc32", "L(Ly)")  # in C, on a worker, without Python's lock


@app.function(concurrency=2, on_full="wait", timeout_ns=2 * 10**9)
async def look_up(key: str) -> str:
    """At most two at a time reach the slow thing behind it; the others wait."""
    await asyncio.sleep(0.01)
    return key.upper()


@app.on("line.bad")
def complain(event: faas.Event) -> None:
    print("bad line:", bytes(event.data).decode())


async def answer(line: bytes) -> bytes:
    command, _, rest = line.strip().partition(b" ")
    try:
        if command == b"crc":
            return b"%08x" % await crc.submit(0, rest)
        if command == b"look":
            return (await look_up.invoke(rest.decode())).encode()
    except faas.Throttled as busy:
        return b"busy, again in %d us" % (busy.retry_after * 1e6)
    await app.aemit("line.bad", line)
    return b"?"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async for line in reader:
        writer.write(await answer(line) + b"\n")
        await writer.drain()
    writer.close()


async def main(port: int | None) -> None:
    async with app:
        if port is not None:
            server = await asyncio.start_server(serve, "127.0.0.1", port)
            await server.serve_forever()
        lines = [b"crc hello", b"nonsense", *(b"look k%d" % i for i in range(6))]
        print(*(a.decode() for a in await asyncio.gather(*map(answer, lines))), sep="\n")
        print("most at once:", look_up.stats()["concurrency_peak"])


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
