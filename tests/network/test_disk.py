"""How a file gets onto the disk where that takes more than fsync: on macOS, which these tests have to imitate."""

import os

import pytest

from simlab.network.live.receiving import disk

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def synced(monkeypatch):
    """The files that fsync was called for."""
    files, fsync = [], os.fsync
    monkeypatch.setattr(disk.os, "fsync", lambda file: (files.append(file), fsync(file)))
    return files


@pytest.mark.parametrize(
    ("full", "by_fsync"), [(None, True), (fcntl.F_GETFL, False), (1 << 20, True)], ids=["none", "full", "refused"]
)
def test_a_drive_is_made_to_write_what_it_has(tmp_path, monkeypatch, synced, full, by_fsync):
    monkeypatch.setattr(disk, "FULL_SYNC", full)
    with (tmp_path / "file").open("wb") as file:
        disk.sync(file.fileno())
        assert synced == [file.fileno()] * by_fsync
    synced.clear()
    disk.sync_folder(tmp_path)
    assert len(synced) == by_fsync
