"""A stock python-socketio client against the fixture's namespace /interop: says what it expected and did not get.

    interop.py URL TRANSPORT...
"""

import asyncio
import sys

import socketio

NAMESPACE = "/interop"
SECONDS_MAX = 15


class Listener:
    """A client, and everything that it hears, in order."""

    def __init__(self, url, transports):
        self.url, self.transports = url, transports
        self.heard = asyncio.Queue()
        self.client = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self.client.on("*", self.keep, namespace=NAMESPACE)
        self.client.on("disconnect", lambda reason=None: self.keep("disconnect"), namespace=NAMESPACE)
        self.client.on("connect", lambda: self.keep("connect"), namespace=NAMESPACE)
        self.client.on("question", self.answer, namespace=NAMESPACE)

    def keep(self, event, *args):
        self.heard.put_nowait((event, *args))

    def answer(self, value, *_):
        return value, b"answered"

    async def connect(self, **options):
        await self.client.connect(
            self.url, namespaces=[NAMESPACE], transports=self.transports, wait_timeout=SECONDS_MAX, **options
        )
        return self

    async def next(self, event):
        """The arguments of the next `event` without the offset behind them; other events are dropped."""
        while True:
            name, *args = await asyncio.wait_for(self.heard.get(), SECONDS_MAX)
            if name == event:
                return args if event in ("connect", "disconnect") else args[:-1]

    async def call(self, event, *args):
        return await self.client.call(event, args or None, namespace=NAMESPACE, timeout=SECONDS_MAX)

    async def emit(self, event, *args):
        await self.client.emit(event, args or None, namespace=NAMESPACE)


def expect(actual, expected):
    if actual != expected:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")


async def check_echo(client):
    expect(await client.call("echo", "語 🙂"), "語 🙂")
    expect(await client.call("echo", 1, None, {"a": [b"\x00\xff"]}), (1, None, {"a": [b"\x00\xff"]}))
    await client.emit("echo", {"b": b"bytes"}, [2])
    expect(await client.next("echo"), [{"b": b"bytes"}, [2]])


async def check_who(client):
    who = await client.call("whoami")
    expect(who["id"], client.client.get_sid(NAMESPACE))
    expect((who["auth"], who["query"]["q"], who["header"]), ({"token": "right"}, "1", "python"))
    expect((who["transport"], who["recovered"]), (client.client.transport(), False))


async def check_questions(client):
    await client.emit("ask-back", b"question")
    expect(await client.next("answer"), [b"question", b"answered"])


async def check_rooms(one, other):
    await one.call("join", "room")
    await other.call("join", "room")
    await one.emit("say", "room", "talk", "to the others")
    await one.emit("say-all", "room", "talk", b"to all")
    expect(await one.next("talk"), [b"to all"])
    expect([await other.next("talk"), await other.next("talk")], [["to the others"], [b"to all"]])


async def check_bursts(client):
    for asked, name, last in (("burst", "b", "b-done"), ("volatile", "v", "v-done")):
        await client.emit(asked, 500)
        numbers = []
        while True:
            event, number, *_ = await asyncio.wait_for(client.heard.get(), SECONDS_MAX)
            if event == last:
                break
            if event == name:
                numbers.append(number)
        expect((number, numbers), (500, list(range(500))))


async def check_refusal(url, transports):
    stranger = Listener(url, transports)
    try:
        await stranger.connect(auth={"token": "wrong"})
    except socketio.exceptions.ConnectionError:
        return
    raise AssertionError("a wrong token was not refused")


async def check_drop(client, witness):
    """A dropped client comes back by itself. Over polling a close packet is final to python-engineio, as with Node."""
    before = client.client.get_sid(NAMESPACE)
    is_polling = client.client.transport() == "polling"
    await client.emit("drop")
    await client.next("disconnect")
    expect(await witness.next("left"), [{"id": before, "reason": "forced close"}])
    if not is_polling:
        await client.next("connect")
        expect(await client.call("echo", "back"), "back")


async def check_kick(client, witness):
    kicked = client.client.get_sid(NAMESPACE)
    await client.emit("kick", True)
    await client.next("disconnect")
    expect(await witness.next("left"), [{"id": kicked, "reason": "server namespace disconnect"}])


async def main(url, transports):
    options = {"auth": {"token": "right"}, "headers": {"X-Interop": "python"}}
    client = await Listener(f"{url}?q=1", transports).connect(**options)
    witness = await Listener(url, transports).connect()
    await check_echo(client)
    await check_who(client)
    await check_questions(client)
    await check_rooms(client, witness)
    await check_bursts(client)
    await check_refusal(url, transports)
    await check_kick(client, witness)
    dropped = await Listener(url, transports).connect()
    await check_drop(dropped, witness)
    await dropped.client.disconnect()
    left = await Listener(url, transports).connect()
    sid = left.client.get_sid(NAMESPACE)
    await left.client.disconnect()
    while (departed := (await witness.next("left"))[0])["id"] != sid:
        pass
    # Over a WebSocket python-engineio closes the connection before its DISCONNECT has left; so it is with Node.
    assert departed["reason"] in ("client namespace disconnect", "transport close"), departed
    await witness.client.disconnect()


asyncio.run(asyncio.wait_for(main(sys.argv[1], sys.argv[2:]), 60))
