"""A stock Python client that does as it is told: commands come as JSON lines, what it hears goes out as JSON lines."""

import asyncio
import base64
import json
import sys

import socketio


def tell(event, *args):
    """Writes one thing that happened; bytes travel as {"bytes": base64}."""
    print(json.dumps({"event": event, "args": args}, default=readable), flush=True)


def readable(value):
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": base64.b64encode(value).decode()}
    return repr(value)


def with_bytes(value):
    """The reverse of `readable` in what a command brings."""
    if isinstance(value, dict):
        if set(value) == {"bytes"}:
            return base64.b64decode(value["bytes"])
        return {key: with_bytes(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_bytes(inner) for inner in value]
    return value


def listening_client():
    client = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.4)
    client.on("connect", lambda: tell("connect"))
    client.on("disconnect", lambda reason=None: tell("disconnect", str(reason)))
    client.on("connect_error", lambda error=None: tell("connect_error", error))
    client.on("*", lambda event, *args: tell(event, *args))
    return client


async def obey(client, command):
    match command:
        case {"do": "connect", "url": url, "auth": auth, "transports": transports}:
            try:
                await client.connect(url, auth=auth, transports=transports)
            except socketio.exceptions.ConnectionError as error:
                tell("refused", str(error))
        case {"do": "emit", "event": event, "payload": payload}:
            await client.emit(event, with_bytes(payload))
        case {"do": "ask", "id": ask_id, "event": event, "payload": payload}:
            await client.emit(event, with_bytes(payload), callback=lambda *args: tell(f"ack {ask_id}", *args))
        case {"do": "close"}:
            await client.disconnect()


async def main():
    client = listening_client()
    lines = asyncio.StreamReader(limit=4_000_000)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await obey(client, json.loads(line))
    await client.disconnect()


asyncio.run(main())
