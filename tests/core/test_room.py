"""What is kept takes no more than there is room for, whoever puts it there."""

import random
import threading

import pytest

from iscan_dash.core.room import OVERHEAD, Room


def test_the_least_recently_used_goes_first_whatever_shelf_it_is_on() -> None:
    room = Room(1000 + 2 * OVERHEAD)
    one, two = room.shelf(), room.shelf()
    one.put("a", "A", 500)
    two.put("a", "B", 400)
    assert one.get("a") == "A"
    two.put("b", "C", 100)
    assert (one.get("a"), two.get("a"), two.get("b")) == ("A", None, "C")
    assert room.held == 600 + 2 * OVERHEAD


def test_what_is_put_down_again_counts_once() -> None:
    room = Room(10_000)
    shelf = room.shelf()
    for n_bytes in (100, 5000, 200):
        shelf.put("a", n_bytes, n_bytes)
    assert (room.held, shelf.get("a")) == (200 + OVERHEAD, 200)


def test_what_is_larger_than_the_room_stays_alone() -> None:
    room = Room(1000)
    shelf, other = room.shelf(), room.shelf()
    other.put("a", 1, 10)
    shelf.put("large", 2, 5000)
    assert (other.get("a"), shelf.get("large")) == (None, 2)
    other.put("a", 1, 10)
    assert (other.get("a"), shelf.get("large"), room.held) == (1, None, 10 + OVERHEAD)


def test_a_shelf_has_its_own_limit() -> None:
    room = Room(1_000_000)
    shelf, other = room.shelf(2), room.shelf()
    other.put(0, 0, 0)
    for number in range(4):
        shelf.put(number, number, 0)
    assert [shelf.get(number) for number in range(4)] == [None, None, 2, 3]
    assert other.get(0) == 0
    shelf.forget(lambda number: number == 2)
    assert (shelf.get(2), shelf.get(3)) == (None, 3)
    shelf.forget()
    assert (shelf.get(3), room.held) == (None, OVERHEAD)
    room.clear()
    assert (other.get(0), room.held) == (None, 0)


@pytest.mark.parametrize("most", [1, 3, 4, 8])
def test_a_shelf_fills_up_to_its_limit(most: int) -> None:
    shelf = Room(1_000_000).shelf(most)
    for number in range(2 * most + 2):
        shelf.put(number, number, 0)
        remain = [own for own in range(number + 1) if shelf.get(own) is not None]
        assert remain == list(range(number + 1))[-most:]


def test_many_threads() -> None:
    room = Room(20 * OVERHEAD)
    shelves = [room.shelf(5), room.shelf(), room.shelf()]
    problems: list[str] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(3000):
            shelf, key = chance.choice(shelves), chance.randrange(30)
            if chance.random() < 0.5:
                shelf.put(key, (shelf, key), chance.randrange(200))
            elif shelf.get(key) not in {None, (shelf, key)}:
                problems.append("something else was found")
            if room.held > room.most:
                problems.append("there is more than room for")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Another thread may look while one is between putting something down and making room for it.
    assert {problem for problem in problems if "something else" in problem} == set()
    assert room.held <= room.most
    assert room.held == sum(n_bytes for _, n_bytes in room._kept.values())
