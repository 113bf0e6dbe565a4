"""How the worker and its runner talk: one JSON object a line, over a pair of sockets."""

import json
import select
import socket
from typing import Any

#: A finding of several hundred slices is below 1 MB; what is longer did not come from our own program.
LONGEST_BYTES = 64 * 1024 * 1024
_CHUNK = 256 * 1024

Message = dict[str, Any]


class Talk:
    """One end of the conversation."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()

    def send(self, message: Message) -> None:
        """Say something; raises OSError when the other end is gone."""
        self._connection.sendall(json.dumps(message, allow_nan=False).encode("utf-8") + b"\n")

    def wait(self, *, seconds: float | None) -> Message | None:
        """The next message, or None when none came in this time; None for ``seconds`` waits for ever.

        Raises EOFError when the other end is gone, ValueError for what is no message.
        """
        while b"\n" not in self._buffer:
            if not select.select([self._connection], [], [], seconds)[0]:
                return None
            more = self._connection.recv(_CHUNK)
            if not more:
                raise EOFError
            self._buffer += more
            if len(self._buffer) > LONGEST_BYTES:
                raise ValueError("a message is too long")
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("a message is no object")
        return message

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()
