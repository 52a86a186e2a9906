"""Refuses every connection and look-up of a host but this machine, in the tests and in all Python processes they start.

Python imports a module of this name when it starts, if its folder is in PYTHONPATH. Libraries may swallow the error,
so each attempt is also written to the file that CONNECTIONS names; a fixture fails the test that made it. Code that is
not Python's, such as another program, is not seen.
"""

import ipaddress
import os
import socket
import sys
import traceback
from pathlib import Path

CONNECTIONS = "DEFECTBENCH_TEST_CONNECTIONS"
NAMES = ("", "localhost", "ip6-localhost")
INTERNET = (socket.AF_INET, socket.AF_INET6)


class OfflineError(RuntimeError):
    """Something tried to reach another machine."""


def refuse_connections(event: str, arguments: tuple) -> None:
    """Audit hook.

    Raises:
        OfflineError: if the event is a connection to another machine, or a look-up of one.
    """
    if not event.startswith("socket."):
        return
    match event.removeprefix("socket."), arguments:
        case "connect" | "sendto" | "sendmsg", (socket.socket(family=family), address):
            host = address[0] if family in INTERNET and address else None
        case "getaddrinfo" | "gethostbyname" | "gethostbyaddr", (host, *_):
            pass
        case "getnameinfo", ((host, *_),):
            pass
        case _:
            return
    if not _is_here(host):
        frames = "".join(traceback.format_stack(limit=8)[:-1])
        if path := os.environ.get(CONNECTIONS):
            with Path(path).open("a") as file:
                file.write(f"{event} {host!r} in process {os.getpid()}, {sys.argv[:1]}\n{frames}\n")
        raise OfflineError(f"{event} {host!r}: the tests, like all jobs, must not leave this machine")


def _is_here(host: str | bytes | bytearray | None) -> bool:
    name = bytes(host).decode(errors="replace") if isinstance(host, bytes | bytearray) else host
    if name is None or name in NAMES:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(refuse_connections)
