"""Somebody between client and PostgreSQL, with a certificate of his own: he ends TLS, reads, and
sends on over TLS that he begins himself; or he plays the server, and asks for the password as it
is, which a client that does not insist on the channel gives him."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from railway import certificates

SSL_REQUEST = struct.pack("!II", 8, 80877103)
CLEARTEXT = struct.pack("!cII", b"R", 8, 3)
"""AuthenticationCleartextPassword."""
PIECE = 65536


@dataclass
class Eavesdropper:
    host: str
    port: int
    """Of the server."""
    here: ssl.SSLContext
    asks: bool = False
    """For the password; nothing is sent on."""
    read: bytearray = field(default_factory=bytearray)
    """What clients have sent, in the clear."""
    given: bytearray = field(default_factory=bytearray)
    """Their answers where he asks."""

    def serve(self, listening: socket.socket) -> None:
        """Until the socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                threading.Thread(target=self._between, args=(client,), daemon=True).start()

    def _between(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            held.enter_context(client)
            assert client.recv(8) == SSL_REQUEST
            client.sendall(b"S")
            near = held.enter_context(self.here.wrap_socket(client, server_side=True))
            if self.asks:
                near.recv(PIECE)  # who it says that it is
                near.sendall(CLEARTEXT)
                self.given += near.recv(PIECE)
                return
            raw = held.enter_context(socket.create_connection((self.host, self.port)))
            raw.sendall(SSL_REQUEST)
            assert raw.recv(1) == b"S"
            anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
            far = held.enter_context(anybody.wrap_socket(raw))
            back = threading.Thread(target=_copy, args=(far, near), daemon=True)
            back.start()
            _copy(near, far, self.read)
            back.join(60)


def _copy(source: ssl.SSLSocket, target: ssl.SSLSocket, seen: bytearray | None = None) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            if seen is not None:
                seen += piece
            target.sendall(piece)


@contextmanager
def eavesdropper(
    host: str, port: int, folder: Path, *, asks: bool = False
) -> Iterator[tuple[Eavesdropper, int]]:
    """And the port on 127.0.0.1 that he listens on. `folder`: for his certificate."""
    certificates.renew(folder, 1)
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here.load_cert_chain(folder / "server.crt", folder / "server.key")
    made = Eavesdropper(host, port, here, asks)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=made.serve, args=(listening,), daemon=True).start()
        yield made, listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
