"""The bare protocol of the load tester on uWebSockets, by its Python binding socketify.

Channels are uWebSockets' own topics and a message is one publish, so everything that grows with the members of a
channel happens in C++: this is the fastest form of it. There are no tokens.

`J<channel>` joins and is answered `J`; `M<channel> <content>` is delivered to all members, the sender too, as
`M<channel> <id> <milliseconds since 1970> <content>`.

Environment: PORT (3101), HOST (127.0.0.1). `/readyz` says when it listens.
"""

import itertools
import os
import signal
import time

from socketify import App, AppListenOptions, OpCode
from socketify.native import lib

# uWebSockets drops what is published to a socket that has more than this waiting; one that is closed instead shows.
BACKPRESSURE_BYTES_MAX = 16 << 20
# Pings are sent when nothing was heard for this long less 16 s.
IDLE_SECONDS_MAX = 40

numbers = itertools.count(1)
app = App()


def handle_message(socket, text, _opcode):
    if text[0] == "M":
        channel, _, content = text.partition(" ")
        message = f"{channel} {next(numbers)} {time.time_ns() // 1_000_000} {content}"
        app.publish(channel[1:], message, OpCode.TEXT)
    elif text[0] == "J":
        socket.subscribe(text[1:])
        socket.send("J", OpCode.TEXT)


def main():
    behavior = {
        "message": handle_message,
        "idle_timeout": IDLE_SECONDS_MAX,
        "send_pings_automatically": True,
        "max_backpressure": BACKPRESSURE_BYTES_MAX,
        "close_on_backpressure_limit": True,
    }
    app.ws("/*", behavior)
    app.get("/readyz", lambda response, _request: response.end("{}"))
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "3101"))
    app.listen(AppListenOptions(port=port, host=host), lambda _config: print(f"listening on {host}:{port}", flush=True))
    # `app.run()` would wake for asyncio's sake 100 times a second; the loop of uWebSockets itself sleeps while nothing
    # happens. Python sees no signal there, so their default is restored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    loop = app.loop.uv_loop
    lib.socketify_loop_run(loop._loop, lib.SOCKETIFY_RUN_DEFAULT)


main()
