"""A connection as bytes that are waited for: one buffer for as long as an association lasts."""

import contextlib
import socket
import time
from typing import Final

#: What we take at a time: 6 to 16 per cent faster than the usual 16 kB (measured on loopback).
MAXIMUM_PDU_SIZE: Final = 131072
#: One read from the network; two of the largest PDUs, so that a small image needs few reads.
BUFFER_BYTES: Final = 2 * MAXIMUM_PDU_SIZE


class Gone(Exception):
    """The peer is not there any more, or was silent for too long."""


class Wire:
    """A connection with one reusable buffer."""

    def __init__(self, connection: socket.socket, *, idle_seconds: float) -> None:
        self._socket = connection
        self._idle = idle_seconds
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._deadline: float | None = None
        connection.settimeout(idle_seconds)

    def limit(self, seconds: float | None) -> None:
        """Everything until the next call must come within this time, not only the next byte."""
        self._deadline = None if seconds is None else time.monotonic() + seconds
        if seconds is None:
            self._socket.settimeout(self._idle)

    @property
    def idle_seconds(self) -> float:
        """How long the peer may say nothing."""
        return self._idle

    def wait(self, seconds: float) -> bool:
        """Whether something is there, or came within this time."""
        if self._end > self._start:
            return True
        self._socket.settimeout(seconds)
        try:
            self._receive()
        except Gone as error:
            if isinstance(error.__cause__, TimeoutError):
                return False
            raise
        finally:
            self._socket.settimeout(self._idle)
        return True

    def take(self, size: int) -> memoryview:
        """Exactly so many bytes, at most BUFFER_BYTES; valid until the next call."""
        if self._start + size > BUFFER_BYTES:
            rest = self._end - self._start
            self._buffer[:rest] = self._buffer[self._start : self._end]
            self._start, self._end = 0, rest
        while self._end - self._start < size:
            self._receive()
        taken = self._view[self._start : self._start + size]
        self._start += size
        return taken

    def some(self, most: int) -> memoryview:
        """What is there, at least one byte; valid until the next call."""
        if self._start == self._end:
            self._start = self._end = 0
            self._receive()
        size = min(most, self._end - self._start)
        taken = self._view[self._start : self._start + size]
        self._start += size
        return taken

    def send(self, message: bytes) -> None:
        """Send all of it."""
        try:
            self._socket.sendall(message)
        except OSError as error:
            raise Gone from error

    def _receive(self) -> None:
        """Wait for more bytes."""
        if self._start == self._end:
            self._start = self._end = 0
        if self._deadline is not None:
            self._socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
        try:
            size = self._socket.recv_into(self._view[self._end :])
        except OSError as error:  # A timeout and everything that TLS complains about are such, too.
            raise Gone from error
        if size == 0:
            raise Gone
        self._end += size

    def drain(self, seconds: float) -> None:
        """Wait for the peer to close, so that our last message is not lost by a reset."""
        self.limit(seconds)
        with contextlib.suppress(Gone):
            while True:
                self._start = self._end = 0
                self._receive()

    def close(self) -> None:
        """Give the buffer back at once, not when somebody collects garbage."""
        self._view.release()
