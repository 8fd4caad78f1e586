"""Files that are whole, or as they were."""

import pytest

from simlab.files import as_csv, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    file = tmp_path / "table.csv"
    for text in ("a\nb\n", "c\r\nd"):
        write_whole(file, text)
        assert file.read_bytes() == text.encode()
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    """Files that may not be larger than a few bytes stand for a disk that is full."""
    resource = pytest.importorskip("resource")
    file = tmp_path / "table.csv"
    write_whole(file, "short")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_whole(file, "much longer" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_text() == "short"
    assert list(tmp_path.iterdir()) == [file]


def test_rows_become_csv():
    assert as_csv(["a", "b"], [{"a": 1, "b": "x, y"}]) == 'a,b\r\n1,"x, y"\r\n'
