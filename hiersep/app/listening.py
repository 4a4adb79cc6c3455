"""Where the page listens: at this computer alone, unless told otherwise."""

from __future__ import annotations

import socket
from typing import NamedTuple

from hiersep.errors import ConfigError

LOCAL = ("127.0.0.1", "localhost", "::1")


class Place(NamedTuple):
    """A port that was taken.

    Attributes:
        host: The address, as it was named.
        socket: What listens.
    """

    host: str
    socket: socket.socket

    @property
    def url(self) -> str:
        """What a browser is told."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.socket.getsockname()[1]}"

    @property
    def is_local(self) -> bool:
        """Whether only this computer can ask."""
        return self.host in LOCAL


def listen(host: str, port: int) -> Place:
    """Take a port.

    Raises:
        ConfigError: If there is no such address here, or the port is taken.
    """
    place = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, kind)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
    except OSError as error:
        if place is not None:
            place.close()
        raise ConfigError(
            f"host and port: cannot listen at {host}:{port} ({error.strerror or error}); name another --port, or "
            "--port 0 for any that is free"
        ) from error
    return Place(host, place)
