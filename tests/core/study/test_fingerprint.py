import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.study.fingerprint import content_fingerprint, file_sha256

IDS = st.lists(st.binary(max_size=4).filter(lambda cell: b"\n" not in cell), min_size=1, max_size=6)


@given(files=st.lists(IDS, min_size=1, max_size=3), others=st.lists(IDS, min_size=1, max_size=3))
def test_equal_for_equal_cells_only(files: list[list[bytes]], others: list[list[bytes]]) -> None:
    def fingerprint(cells: list[list[bytes]], step: int = 10) -> str:
        return content_fingerprint(
            (len(ids), [ids[start : start + step] for start in range(0, len(ids), step)]) for ids in cells
        )

    assert fingerprint(files) == fingerprint(files, step=2)
    assert (fingerprint(files) == fingerprint(others)) == (files == others)
    assert len(fingerprint(files)) == 32


def test_the_order_of_cells_and_files_counts() -> None:
    first = content_fingerprint([(2, [[b"a", b"b"]]), (1, [[b"c"]])])

    assert first != content_fingerprint([(2, [[b"b", b"a"]]), (1, [[b"c"]])])
    assert first != content_fingerprint([(1, [[b"c"]]), (2, [[b"a", b"b"]])])
    assert first != content_fingerprint([(3, [[b"a", b"b", b"c"]])])


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 5_000_000)

    assert file_sha256(path) == hashlib.sha256(b"x" * 5_000_000).hexdigest()


def test_sha256_can_be_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 9_000_000)
    asked = []

    def is_cancelled() -> bool:
        asked.append(True)
        return len(asked) == 2

    assert file_sha256(path, is_cancelled) is None
    assert len(asked) == 2
