"""Accounts: who may sign in, a file with one name and one hash of a password a line."""

import hashlib
import logging
import secrets
import threading
import unicodedata
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from iscan_dash.errors import StorageError, UserRefused
from iscan_dash.services.private import only_one, write_private

log = logging.getLogger(__name__)

LONGEST_NAME = 64
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024


def checked_name(text: str) -> str:
    """Return a user's name without the spaces around it.

    Raises
    ------
    UserRefused
        It is empty, longer than 64 characters or cannot be shown.

    Examples
    --------
    >>> checked_name(" Ada ")
    'Ada'
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise UserRefused("Enter a name.")
    if len(name) > LONGEST_NAME:
        raise UserRefused(f"The name is {len(name)} characters long; the limit is {LONGEST_NAME}.")
    if not name.isprintable():
        raise UserRefused("The name has characters that cannot be shown. Type it again.")
    return name


class Accounts:
    """The file of those who may sign in; changes to it count at once.

    Parameters
    ----------
    path
        The file. It need not exist before the first account is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hasher = PasswordHasher()
        # A stranger's password is checked too, so that the time of an answer does not tell who has an account.
        self._nobody = self._hasher.hash(secrets.token_hex())
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}

    def names(self) -> list[str]:
        """Return who may sign in.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        return sorted(self._read())

    def find(self, name: str, password: str) -> tuple[str, str] | None:
        """Return name and version of the account that a password opens, None when it opens none.

        It takes as long whether or not the name exists.
        """
        name = _plain(name).strip()
        known = self._current().get(name)
        try:
            self._hasher.verify(known or self._nobody, _plain(password)[: LONGEST_PASSWORD + 1])
        except (VerificationError, InvalidHashError):
            return None
        return (name, _version(known)) if known else None

    def version(self, name: str) -> str | None:
        """Return what changes with the password of an account, None when there is no such account."""
        known = self._current().get(name)
        return _version(known) if known else None

    def add(self, name: str, password: str) -> bool:
        """Add an account, or change its password; return whether it is new.

        Raises
        ------
        UserRefused
            The name or the password breaks a rule.
        StorageError
            The file cannot be read or written.
        """
        name = checked_name(name)
        if ":" in name or name.startswith("#"):
            raise UserRefused("The name of an account has no colon and does not begin with #. Choose another one.")
        if not SHORTEST_PASSWORD <= len(_plain(password)) <= LONGEST_PASSWORD:
            raise UserRefused(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters. Choose another.")
        hashed = self._hasher.hash(_plain(password))
        try:
            with only_one(self.path):
                hashes = self._read() if self.path.exists() else {}
                is_new = name not in hashes
                self._write(hashes | {name: hashed})
        except OSError as error:
            raise self._not_written(error) from error
        return is_new

    def remove(self, name: str) -> None:
        """Remove an account; whoever is signed in with it is signed out.

        Raises
        ------
        UserRefused
            There is no such account.
        StorageError
            The file cannot be read or written.
        """
        try:
            with only_one(self.path):
                hashes = self._read()
                if hashes.pop(_plain(name).strip(), None) is None:
                    raise UserRefused(f'{self.path} has no user "{name}".')
                self._write(hashes)
        except OSError as error:
            raise self._not_written(error) from error

    def _current(self) -> dict[str, str]:
        """Return the accounts as the file has them now; nobody may sign in while it cannot be read."""
        try:
            found = self.path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            with self._lock:
                if stamp != self._seen:
                    self._hashes = self._read()
                    self._seen = stamp
                return self._hashes
        except (OSError, StorageError) as error:
            log.error("Nobody can sign in: %s", error)
            return {}

    def _read(self) -> dict[str, str]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise StorageError(
                f"The users file {self.path} cannot be read: {reason}. "
                "Put its name right (ISCAN_USERS), or make it: iscan-dash users add NAME --file FILE"
            ) from error
        hashes: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, colon, hashed = line.partition(":")
            if not (name and colon and hashed.startswith("$argon2")):
                raise StorageError(
                    f"Line {number} of the users file {self.path} is no account. Take it out, or add the account again."
                )
            hashes[name] = hashed.strip()
        return hashes

    def _write(self, hashes: dict[str, str]) -> None:
        write_private(self.path, "".join(f"{name}:{hashed}\n" for name, hashed in sorted(hashes.items())))

    def _not_written(self, error: OSError) -> StorageError:
        return StorageError(f"The users file {self.path} cannot be written: {error.strerror or error}.")


def _version(hashed: str) -> str:
    return hashlib.blake2b(hashed.encode(), digest_size=12).hexdigest()


def _plain(text: str) -> str:
    # Keyboards make the same letter of one character or of two.
    return unicodedata.normalize("NFC", text)
