"""The notebook of the training loop, from first cell to last; its own assertions compare the two loss curves."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.mark.heavy
@pytest.mark.slow
def test_a_killed_and_resumed_run_has_the_losses_of_the_uninterrupted_one() -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs the extra notebooks")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra notebooks")
    notebook = nbformat.read(FOLDER / "training.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    said = "".join(str(output.get("text", "")) for cell in notebook.cells for output in cell.get("outputs", []))
    assert "killed at 37, resumed at 31" in said
    assert "480 documents used" in said
