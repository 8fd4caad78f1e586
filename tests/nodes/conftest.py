import pytest

from simlab.nodes.archive.state import ArchiveState


@pytest.fixture
def archive(tmp_path):
    state = ArchiveState(tmp_path / "archive")
    yield state
    state.close()
