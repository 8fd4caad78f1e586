"""Every notebook that ships runs from top to bottom, and what it tells is true."""

import asyncio
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def run(name):
    """Execute a notebook in its own folder; returns the text of all its outputs."""
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(NOTEBOOKS)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    errors = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not errors, errors
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    pictures = sum("image/svg+xml" in output.get("data", {}) for output in outputs)
    return "\n".join(texts), pictures


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's own machinery
def test_a_department():
    text, pictures = run("01-a-department.ipynb")
    assert "the same studies: True; the same instances: True" in text
    assert "lost=0" in text
    assert "missing=0" in text
    assert "C-ECHO: status 0000H" in text
    assert "C-FIND: status 0000H" in text
    assert pictures == 2  # the network, and the journey
