"""Room for what was worked out and may be asked for again: so many bytes, of which the least recently used go first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

OVERHEAD = 500
"""Bytes that are reckoned for anything that is kept, beside its own."""


class Room:
    """Room that several shelves share. All methods may be called from any thread.

    What was put down last stays even when it alone is more than there is room for: whoever made it needs it now.

    Parameters
    ----------
    most
        Bytes there is room for.

    Examples
    --------
    >>> room = Room(3 * OVERHEAD)
    >>> masks, orders = room.shelf(), room.shelf()
    >>> for number in range(2):
    ...     masks.put(number, f"mask {number}", 0)
    >>> orders.put(0, "order 0", 0)
    >>> masks.get(0)
    'mask 0'
    >>> orders.put(1, "order 1", 0)
    >>> masks.get(1) is None, orders.get(0), room.held
    (True, 'order 0', 1500)
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Shelf[Any], Hashable], tuple[Any, int]] = OrderedDict()
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes that are taken."""
        return self._held

    def shelf(self, most: int | None = None) -> "Shelf[Any]":
        """Return a shelf, on which so many things are kept at most."""
        return Shelf(self, most)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._kept.clear()
            self._held = 0

    def _get(self, place: tuple["Shelf[Any]", Hashable]) -> Any:
        with self._lock:
            if place not in self._kept:
                return None
            self._kept.move_to_end(place)
            return self._kept[place][0]

    def _put(self, place: tuple["Shelf[Any]", Hashable], value: Any, n_bytes: int, most: int | None) -> None:
        with self._lock:
            self._drop([place])
            self._kept[place] = (value, n_bytes)
            self._held += n_bytes
            if most is not None:
                own = [other for other in self._kept if other[0] is place[0]]
                self._drop(own[: max(0, len(own) - most)])
            while self._held > self.most and len(self._kept) > 1:
                self._drop([next(iter(self._kept))])

    def _forget(self, shelf: "Shelf[Any]", is_it: Callable[[Any], bool]) -> None:
        with self._lock:
            self._drop([place for place in self._kept if place[0] is shelf and is_it(place[1])])

    def _drop(self, places: list[tuple["Shelf[Any]", Hashable]]) -> None:
        for place in places:
            self._held -= self._kept.pop(place, (None, 0))[1]


class Shelf(Generic[T]):
    """Things of one kind in a `Room`, by keys."""

    def __init__(self, room: Room, most: int | None) -> None:
        self._room = room
        self._most = most

    def get(self, key: Hashable) -> T | None:
        """Return what was put down under a key, None when it is not there any more."""
        found: T | None = self._room._get((self, key))
        return found

    def put(self, key: Hashable, value: T, n_bytes: int) -> None:
        """Put something down that takes about so many bytes."""
        self._room._put((self, key), value, n_bytes + OVERHEAD, self._most)

    def forget(self, is_it: Callable[[Any], bool] = lambda _: True) -> None:
        """Let go of the things with some keys, all by default."""
        self._room._forget(self, is_it)
