"""The synchronous client of python-socketio chats with itself: `simple_chat.py URL TRANSPORT...`; exit code 0 is success."""

import sys

import socketio

ROUNDS = 50
WAIT_SECONDS = 15


def main(url, transports):
    with socketio.SimpleClient() as client:
        client.connect(url, auth={"userId": "simple"}, transports=transports, wait_timeout=WAIT_SECONDS)
        heard = []
        reply = client.call("channel:join", {"channelId": "simple"}, timeout=WAIT_SECONDS)
        assert reply["success"], reply
        for number in range(ROUNDS):
            client.emit("message:send", {"channelId": "simple", "content": str(number)})
        while len(heard) < ROUNDS:
            # Exactly one argument: a handler with one parameter breaks on anything that is added for other clients.
            event, payload = client.receive(timeout=WAIT_SECONDS)
            if event == "message":
                heard.append(payload["content"])
        assert heard == [str(number) for number in range(ROUNDS)], heard


main(sys.argv[1], sys.argv[2:])
