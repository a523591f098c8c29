import hashlib
import os
from pathlib import Path

from iscan_dash.services.hashes import FileHashes


def test_files_are_hashed_one_after_the_other(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "none", "b")]
    paths[0].write_bytes(b"first")
    paths[2].write_bytes(b"second")
    hashes = FileHashes(paths)
    assert hashes.get(paths[0]) is None
    hashes.start()
    hashes._thread.join(10)

    assert hashes.get(paths[0]) == hashlib.sha256(b"first").hexdigest()
    assert hashes.get(paths[1]) == f"cannot be read: {os.strerror(2)}"
    assert hashes.get(paths[2]) == hashlib.sha256(b"second").hexdigest()
    assert hashes.get(tmp_path / "other") is None


def test_closing_gives_up_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    hashes = FileHashes([tmp_path / "a"])
    hashes.close()
    hashes.start()
    hashes.close()

    assert hashes.get(tmp_path / "a") is None
