"""Where to listen: what was asked for, in words, and the sockets that come of it."""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quintette import _quintette

_ADDRESS = re.compile(
    r"""(?:(?P<host>
        \d{1,3}(?:\.\d{1,3}){3}              # IPv4
      | \[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]      # IPv6, with or without its zone
      | [a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?
    ):)?(?P<port>\d{1,5})""",
    re.VERBOSE,
)

# State of a socket in /proc/net/tcp.
_LISTENING = "0A"

DEFAULT_HOST = "127.0.0.1"
DEFAULT_HOST_IPV6 = "::1"
DEFAULT_PORT = 8000


class AddressError(Exception):
    """One line that says what is wrong with the address."""


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def is_public(self) -> bool:
        """Others than this machine may connect."""
        return self.host not in {"127.0.0.1", "::1", "localhost"} and not self.host.startswith(
            "127."
        )


def parse_address(text: str | None, *, ipv6: bool = False) -> Address:
    """``8000``, ``0.0.0.0:8000``, ``[::1]:8000``, ``localhost:8000``; None is the default."""
    default = DEFAULT_HOST_IPV6 if ipv6 else DEFAULT_HOST
    if not text:
        return Address(default, DEFAULT_PORT)
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise AddressError(f'"{text}" is not a valid port number or address:port pair.')
    port = int(match["port"])
    if port > 65535:
        raise AddressError(f"{port} is not a port number: they end at 65535.")
    host = (match["host"] or default).strip("[]")
    if host == "0":
        host = "0.0.0.0"
    if ipv6 and re.fullmatch(r"[\d.]+", host):
        raise AddressError(f'"{host}" is not an IPv6 address.')
    return Address(host, port)


def listen(address: Address, count: int, backlog: int) -> tuple[Address, list[int]]:
    """Descriptors of `count` listening sockets, and the address with the port it came to.

    On Linux each worker has a socket of its own, among which the kernel spreads connections.
    Elsewhere they share one.
    """
    spread = count > 1 and sys.platform == "linux"
    try:
        if spread and address.port:
            # SO_REUSEPORT would let a second server take half of the first one's connections.
            os.close(_quintette.listen(address.host, address.port, 1, False))
        fds = [_quintette.listen(address.host, address.port, backlog, spread)]
        address = address_of(fds[0], address)
        if spread:
            fds += [
                _quintette.listen(address.host, address.port, backlog, True)
                for _ in range(count - 1)
            ]
    except (OSError, ValueError) as error:
        raise AddressError(_explain(error, address)) from error
    return address, fds if spread else fds * count


def address_of(fd: int, asked: Address) -> Address:
    """`asked`, with the port that the kernel chose if it was 0."""
    return Address(asked.host, _port_of(fd))


def _port_of(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _explain(error: OSError | ValueError, address: Address) -> str:
    where = address.url.removeprefix("http://").rstrip("/")
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        holder = _holder_of(address.port)
        by = f" by process {holder}" if holder else ""
        return (
            f"{where} is already in use{by}. "
            f"Choose another port, say: manage.py serve {address.port % 65535 + 1}"
        )
    if code == errno.EACCES:
        return f"You don't have permission to listen on {where} (ports below 1024 are reserved)."
    if code == errno.EADDRNOTAVAIL:
        return f"{address.host} is no address of this machine."
    return f"Cannot listen on {where}: {error}"


def _holder_of(port: int) -> str:
    """ "4711 (python manage.py runserver)" for who listens on the port, where Linux tells us."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table) as lines:
            for line in lines:
                columns = line.split()
                if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{columns[9]}]")
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        with suppress(OSError):
            if str(link.readlink()) in inodes:
                process = link.parents[1]
                command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ")
                return f"{process.name} ({command.decode(errors='replace').strip()[:80]})"
    return ""
