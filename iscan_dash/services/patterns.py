"""Regular expressions that somebody typed, applied to labels without trusting them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from iscan_dash.core.words import counted
from iscan_dash.errors import NameRefused

PATIENCE = 2.0
"""Seconds after which an expression is given up."""

MEMORY = 512 * 1024**2
"""Bytes that an expression may take."""

MOST_AT_ONCE = 2
"""Expressions that the server works on at a time, of all users together."""

LONGEST = 1000
"""Characters of a text that comes of it; far more than any label may have."""

_PROGRAM = f"""
import json, re, sys
asked = json.load(sys.stdin)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (asked["seconds"], asked["seconds"]))
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory"], asked["memory"]))
except (ImportError, OSError, ValueError):
    pass  # this system has no such limits
try:
    pattern = re.compile(asked["pattern"], re.IGNORECASE if asked["ignore_case"] else 0)
    done = {{"texts": [pattern.sub(asked["substitute"], text)[:{LONGEST}] for text in asked["texts"]]}}
except (re.error, IndexError, OverflowError, RecursionError) as error:
    done = {{"error": str(error)}}
json.dump(done, sys.stdout)
"""

_seats = threading.BoundedSemaphore(MOST_AT_ONCE)


@contextmanager
def turn(own: threading.Lock) -> Iterator[None]:
    """Wait for one's turn to use an expression: every user works on one at a time, all together on a few.

    Parameters
    ----------
    own
        The user's.

    Raises
    ------
    NameRefused
        Others take too long (E18).
    """
    with ExitStack() as held:
        for gate in (own, _seats):
            if not gate.acquire(timeout=2 * PATIENCE):
                raise NameRefused("E18", "The server is busy with other expressions. Try again in a moment.")
            held.callback(gate.release)
        yield


def substitute(texts: Sequence[str], pattern: str, replacement: str, *, ignore_case: bool = False) -> list[str]:
    r"""Replace what matches a regular expression in some texts.

    It runs in a process of its own, because an expression such as ``(a+)+$`` may take for ever, and nothing can stop it
    within the server.

    Parameters
    ----------
    texts
        The texts.
    pattern
        A regular expression of Python.
    replacement
        What takes the place of each match; ``\1`` is its first group.
    ignore_case
        Whether case does not matter.

    Raises
    ------
    NameRefused
        The expression or the replacement is none, or it takes too long (E18).
    """
    asked = {
        "pattern": pattern,
        "substitute": replacement,
        "ignore_case": ignore_case,
        "texts": list(texts),
        # Of the processor: should nobody be left to end it.
        "seconds": int(PATIENCE) + 1,
        "memory": MEMORY,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
            close_fds=True,
        )
    except subprocess.TimeoutExpired:
        many = counted(len(texts), "label")
        raise NameRefused("E18", f"This expression takes too long for {many}. Write a simpler one.") from None
    except subprocess.CalledProcessError:
        raise NameRefused("E18", "This expression cannot be used. Write a simpler one.") from None
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise NameRefused("E18", f"This is no regular expression: {answer['error']}.")
    found: list[str] = answer["texts"]
    return found
