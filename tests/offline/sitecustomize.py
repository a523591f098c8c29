"""Loaded by every Python process of a test that has this folder in PYTHONPATH: whoever asks the network is written down.

An audit hook sees what any library does through Python's own sockets, and cannot be taken away again.
"""

import ipaddress
import os
import sys

RECORD = os.environ["OFFLINE_RECORD"]
HERE = {"127.0.0.1", "::1", "localhost", "", "None"}
ASKING = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
SENDING = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def is_address(name: str) -> bool:
    """Tell whether a name is an address already, for which nobody is asked."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def refuse(event: str, args: tuple[object, ...]) -> None:
    """Write an attempt down and let it fail, unless it is about this machine."""
    if event in ASKING:
        host = args[0]
    elif event in SENDING and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in HERE or (event in ASKING and is_address(name)):
        return
    with open(RECORD, "a", encoding="utf-8") as record:  # noqa: PTH123 - nothing is imported here that need not be
        record.write(f"{event} {name} by {' '.join(sys.argv)}\n")
    raise OSError(f"the network is off: {name}")


sys.addaudithook(refuse)
