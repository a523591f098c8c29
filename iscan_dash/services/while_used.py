"""Things that are made when somebody needs them, and put away when nobody did for a while."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class _Place(Generic[T]):
    """A thing that may be there.

    `lock` is held while it is made or put away, which may take long; the other fields belong to the lock of all.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    n_users: int = 0
    used: float = field(default_factory=time.monotonic)
    thing: T | None = None


class WhileUsed(Generic[T]):
    """Things by name, each made when first used. All methods may be called from any thread.

    Nobody waits for what somebody else needs: only those who use a thing wait while that one is made or put away.

    Parameters
    ----------
    make
        Makes the thing of a name.
    put_away
        Is given a name and its thing, which nobody uses, and returns whether it is put away now; it stays otherwise.
    """

    def __init__(self, make: Callable[[str], T], put_away: Callable[[str, T], bool]) -> None:
        self._make = make
        self._put_away = put_away
        self._lock = threading.Lock()
        self._places: dict[str, _Place[T]] = {}

    def enter(self, name: str) -> T:
        """Return a thing, which stays until `leave` is called as often."""
        with self._lock:
            place = self._places.setdefault(name, _Place())
            place.n_users += 1
        try:
            with place.lock:
                if place.thing is None:
                    place.thing = self._make(name)
                return place.thing
        except BaseException:
            self.leave(name)
            raise

    def leave(self, name: str, *, as_used: bool = True) -> None:
        """Say that a thing is not used any more.

        Parameters
        ----------
        name
            Its name.
        as_used
            Whether its time begins anew.
        """
        with self._lock:
            place = self._places[name]
            place.n_users -= 1
            if as_used:
                place.used = time.monotonic()
            self._tidy(name, place)

    @contextmanager
    def using(self, name: str) -> Iterator[T]:
        """Use a thing for a while."""
        thing = self.enter(name)
        try:
            yield thing
        finally:
            self.leave(name)

    def find(self, name: str) -> T | None:
        """Return a thing if it is there; it may be put away the next moment."""
        with self._lock:
            place = self._places.get(name)
            return place.thing if place else None

    def all(self) -> dict[str, T]:
        """Return what is there."""
        with self._lock:
            return {name: place.thing for name, place in self._places.items() if place.thing is not None}

    def put_idle_away(self, seconds: float) -> list[str]:
        """Put away what nobody used for so long, and return the names of what is gone.

        What fails at it stays, which is logged, and is tried again the next time.
        """
        gone = []
        with self._lock:
            places = list(self._places.items())
        for name, place in places:
            if not self._is_idle(place, seconds):
                continue
            with place.lock:
                # Whoever comes from here on waits for the lock, and makes it anew.
                if place.thing is None or not self._is_idle(place, seconds):
                    continue
                try:
                    is_gone = self._put_away(name, place.thing)
                except Exception as error:
                    log.error("%s was not put away.", name, exc_info=error)
                    continue
                if is_gone:
                    place.thing = None
                    gone.append(name)
            with self._lock:
                self._tidy(name, place)
        return gone

    def _is_idle(self, place: _Place[T], seconds: float) -> bool:
        with self._lock:
            return not place.n_users and time.monotonic() - place.used >= seconds

    def _tidy(self, name: str, place: _Place[T]) -> None:
        if not place.n_users and place.thing is None and self._places.get(name) is place:
            del self._places[name]
