"""HTTP/1.1 on 127.0.0.1, as much of it as the emulated services need: whole requests in, whole answers out.

One thread: a service is a function that is given each request, and it runs while somebody turns the loop.
"""

import selectors
import socket
import time
from dataclasses import dataclass


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    arrived_ns: int


class Connection:
    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.received = b""

    def send(self, status, headers, body):
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def request(self, arrived_ns):
        """The request that has arrived, or None while a part of it is missing."""
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body, rest = joined_chunks(rest)
        else:
            length = int(headers.get("content-length", 0))
            body, rest = (rest[:length], rest[length:]) if len(rest) >= length else (None, rest)
        if body is None:
            return None
        self.received = rest
        method, path, _ = first.split(" ")
        return Request(method, path, headers, body, arrived_ns)


def joined_chunks(data):
    """A chunked body and what follows it, or (None, data) while a part of it is missing."""
    body, rest = b"", data
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end:
            return None, data
        length = int(size.split(b";")[0], 16)
        if len(rest) < length + 2:
            return None, data
        body, rest = body + rest[:length], rest[length + 2 :]
        if length == 0:
            return body, rest


class Loop:
    def __init__(self):
        self.selector = selectors.DefaultSelector()

    def listen(self, service):
        """Calls service(connection, request) for every request to the address that is returned."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener, service))
        return "127.0.0.1:%d" % listener.getsockname()[1]

    def turn(self):
        """Serves what has arrived, and waits up to a second for it."""
        for key, _ in self.selector.select(1):
            key.data()

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def _accept(self, listener, service):
        sock, _ = listener.accept()
        connection = Connection(sock)
        self.selector.register(sock, selectors.EVENT_READ, lambda: self._read(connection, service))

    def _read(self, connection, service):
        try:
            data = connection.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        arrived_ns = time.perf_counter_ns()
        if not data:
            self.selector.unregister(connection.sock)
            connection.sock.close()
            return
        connection.received += data
        while request := connection.request(arrived_ns):
            service(connection, request)
