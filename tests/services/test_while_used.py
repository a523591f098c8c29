"""Things that are put away are never used, whoever comes meanwhile."""

import random
import threading
import time

import pytest

from iscan_dash.services.while_used import WhileUsed


class Thing:
    def __init__(self, name: str) -> None:
        self.name = name
        self.is_open = True
        self.n = 0


def things(**options: float) -> tuple[WhileUsed[Thing], list[Thing]]:
    made: list[Thing] = []

    def make(name: str) -> Thing:
        time.sleep(options.get("making", 0))
        made.append(Thing(name))
        return made[-1]

    def put_away(name: str, thing: Thing) -> bool:
        assert name == thing.name
        time.sleep(options.get("leaving", 0))
        thing.is_open = False
        return True

    return WhileUsed(make, put_away), made


def test_what_is_used_stays() -> None:
    kept, made = things()
    with kept.using("a") as thing:
        assert kept.put_idle_away(0) == []
        assert kept.find("a") is thing and kept.all() == {"a": thing}
    assert kept.put_idle_away(60) == []
    assert kept.put_idle_away(0) == ["a"]
    assert not thing.is_open and kept.find("a") is None and kept.all() == {}
    with kept.using("a") as other:
        assert other is not thing and other.is_open
    assert len(made) == 2


def test_looking_is_no_use() -> None:
    kept, _ = things()
    kept.enter("a")
    time.sleep(0.05)
    kept.leave("a", as_used=False)
    assert kept.put_idle_away(0.05) == ["a"]


def test_what_objects_stays() -> None:
    kept = WhileUsed(Thing, lambda name, _: name != "a")
    for name in "ab":
        kept.enter(name)
        kept.leave(name)
    assert kept.put_idle_away(0) == ["b"]
    assert set(kept.all()) == {"a"}


def test_what_fails_at_going_stays_alone(caplog: pytest.LogCaptureFixture) -> None:
    def put_away(name: str, _thing: Thing) -> bool:
        if name == "a":
            raise MemoryError
        return True

    kept = WhileUsed(Thing, put_away)
    for name in "abc":
        kept.enter(name)
        kept.leave(name)
    assert kept.put_idle_away(0) == ["b", "c"]
    assert set(kept.all()) == {"a"}
    assert "a was not put away." in caplog.text and "MemoryError" in caplog.text


def test_what_cannot_be_made_leaves_nothing() -> None:
    def make(_name: str) -> Thing:
        raise OSError("no disk")

    kept: WhileUsed[Thing] = WhileUsed(make, lambda *_: True)
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            kept.enter("a")
    assert kept.all() == {} and kept._places == {}


def test_nobody_waits_for_what_somebody_else_needs() -> None:
    kept, _ = things(leaving=1.0)
    kept.enter("slow")
    kept.leave("slow")
    leaving = threading.Thread(target=kept.put_idle_away, args=(0,))
    leaving.start()
    time.sleep(0.1)
    begun = time.monotonic()
    with kept.using("other"):
        assert time.monotonic() - begun < 0.5
    # Who comes for the one that is being put away gets a new one.
    with kept.using("slow") as thing:
        assert thing.is_open and time.monotonic() - begun > 0.5
    leaving.join()


def test_users_and_what_puts_away_at_once() -> None:
    kept, made = things(making=0.001, leaving=0.001)
    ends = time.monotonic() + 2
    problems: list[str] = []
    count = threading.Lock()
    n_used = 0

    def use(seed: int) -> None:
        nonlocal n_used
        chance = random.Random(seed)
        while time.monotonic() < ends:
            name = chance.choice("abc")
            with kept.using(name) as thing:
                thing.n += 1
                time.sleep(chance.random() / 500)
                if not thing.is_open or thing.name != name:
                    problems.append(f"{name} was put away while it was used")
            with count:
                n_used += 1
            time.sleep(chance.random() / 200)

    def put_away() -> None:
        while time.monotonic() < ends:
            kept.put_idle_away(0)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(8)]
    threads += [threading.Thread(target=put_away) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert n_used > 100 and len(made) > 20
    kept.put_idle_away(0)
    assert kept._places == {}
