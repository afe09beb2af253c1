"""Messages over a socket between two processes: a length, then so many bytes; open sockets beside them."""

import select
import socket
import struct
import time

from course.grade.codec import LARGEST_MESSAGE


def send(connection, message):
    connection.sendall(struct.pack("<Q", len(message)) + message)


def receive(connection, end=None, largest=LARGEST_MESSAGE):
    """One message; raises EOFError where the other side is gone, TimeoutError after `end`."""

    def exactly(count):
        content = bytearray()
        while len(content) < count:
            left = None if end is None else end - time.monotonic()
            if left is not None and (left <= 0 or not select.select([connection], [], [], left)[0]):
                raise TimeoutError
            part = connection.recv(min(count - len(content), 2**20))
            if not part:
                raise EOFError
            content += part
        return bytes(content)

    (length,) = struct.unpack("<Q", exactly(8))
    if length > largest:
        raise EOFError
    return exactly(length)


def hand(connection, message, sockets=()):
    """Send a trusted message together with open sockets."""
    socket.send_fds(connection, [b"+"], [one.fileno() for one in sockets])
    send(connection, message)


def take(connection, end=None):
    """(message, [sockets]) of a `hand`; raises EOFError where the other side is gone."""
    sign, numbers, _, _ = socket.recv_fds(connection, 1, 4)
    if not sign:
        raise EOFError
    return receive(connection, end), [socket.socket(fileno=number) for number in numbers]
