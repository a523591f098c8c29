"""Accounts: passwords are hashed, changes count at once, strangers learn nothing."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from iscan_dash.errors import StorageError, UserRefused
from iscan_dash.services.accounts import Accounts, checked_name

PASSWORD = "correct horse"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "users.txt")
    assert made.add("ada", PASSWORD)
    return made


def test_the_file_holds_no_password(accounts: Accounts) -> None:
    text = accounts.path.read_text()
    assert text.startswith("ada:$argon2id$")
    assert PASSWORD not in text
    assert accounts.path.stat().st_mode & 0o777 == 0o600


def test_the_right_password_and_no_other(accounts: Accounts) -> None:
    assert accounts.find("ada", PASSWORD) == ("ada", accounts.version("ada"))
    assert accounts.find(" ada ", PASSWORD)
    for name, password in [
        ("ada", ""),
        ("ada", PASSWORD + " "),
        ("ada", PASSWORD.upper()),
        ("Ada", PASSWORD),
        ("grace", PASSWORD),
        ("", ""),
        ("ada\n", "x" * 100_000),
        ("\x00", "\x00"),
    ]:
        assert accounts.find(name, password) is None


def test_letters_of_two_characters_are_the_same(accounts: Accounts) -> None:
    accounts.add("Ada\u0308", "pa\u0308sswort")
    assert accounts.find("Ad\u00e4", "p\u00e4sswort")
    assert accounts.names() == ["Ad\u00e4", "ada"]


def test_a_change_from_elsewhere_counts_at_once(accounts: Accounts) -> None:
    version = accounts.version("ada")
    elsewhere = Accounts(accounts.path)
    assert not elsewhere.add("ada", "another one")
    assert accounts.version("ada") != version
    assert accounts.find("ada", PASSWORD) is None
    assert accounts.find("ada", "another one")
    elsewhere.remove("ada")
    assert (accounts.version("ada"), accounts.find("ada", "another one")) == (None, None)


def test_accounts_added_at_once_are_all_kept(tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(6)]
    path = tmp_path / "users.txt"
    threads = [threading.Thread(target=lambda name=name: Accounts(path).add(name, PASSWORD)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Accounts(path).names() == names


def duration(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def test_a_stranger_waits_as_long(accounts: Accounts) -> None:
    known = duration(lambda: accounts.find("ada", "wrong"))
    unknown = duration(lambda: accounts.find("eve", "wrong"))
    assert 0.5 < known / unknown < 2


def test_nobody_signs_in_without_the_file(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    accounts.path.unlink()
    assert accounts.find("ada", PASSWORD) is None
    assert accounts.version("ada") is None
    assert "Nobody can sign in" in caplog.text


@pytest.mark.parametrize("line", ["ada", ":$argon2id$x", "ada:plain", "eve:", "\ufeffada"])
def test_a_line_that_is_no_account(accounts: Accounts, line: str) -> None:
    accounts.path.write_text(f"# Users\n\n{accounts.path.read_text()}{line}\n", encoding="utf-8")
    with pytest.raises(StorageError, match=r"Line 4 of the users file .* is no account\."):
        accounts.names()
    assert accounts.find("ada", PASSWORD) is None


def test_a_garbled_hash_opens_nothing(accounts: Accounts) -> None:
    accounts.path.write_text("ada:$argon2id$garbled\n")
    assert accounts.find("ada", "garbled") is None


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("", PASSWORD, "Enter a name."),
        (" \t", PASSWORD, "Enter a name."),
        ("x" * 65, PASSWORD, "The name is 65 characters long; the limit is 64."),
        ("a\nb", PASSWORD, "The name has characters that cannot be shown. Type it again."),
        ("a\u202eb", PASSWORD, "The name has characters that cannot be shown. Type it again."),
        ("a:b", PASSWORD, "The name of an account has no colon and does not begin with #. Choose another one."),
        ("#a", PASSWORD, "The name of an account has no colon and does not begin with #. Choose another one."),
        ("eve", "1234567", "A password has 8 to 1,024 characters. Choose another."),
        ("eve", "x" * 1025, "A password has 8 to 1,024 characters. Choose another."),
    ],
)
def test_what_is_refused(accounts: Accounts, name: str, password: str, said: str) -> None:
    with pytest.raises(UserRefused) as refused:
        accounts.add(name, password)
    assert str(refused.value) == said
    assert accounts.names() == ["ada"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "users.txt")
    with pytest.raises(StorageError, match="cannot be read: No such file"):
        accounts.names()
    accounts.path.mkdir()
    with pytest.raises(StorageError, match="cannot be read: Is a directory"):
        accounts.add("ada", PASSWORD)
    accounts.path.rmdir()
    accounts.path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StorageError, match="cannot be read: it is no text"):
        accounts.names()


def test_names_are_shown_as_they_are_typed() -> None:
    assert checked_name("  Ada Lovelace, 爱达  ") == "Ada Lovelace, 爱达"
