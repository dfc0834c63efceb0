"""Every notebook runs from top to bottom on a corpus that it builds, and keeps its outputs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nbformat
import pytest

REPO = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPO / "notebooks").glob("*.ipynb"))


def outputs(notebook: nbformat.NotebookNode) -> list[str]:
    return [str(output) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [path for path in NOTEBOOKS if path.stem != "training"],  # test_training.py runs that one
    ids=lambda path: path.stem,
)
def test_notebook_runs_from_top_to_bottom(path):
    spec = importlib.util.spec_from_file_location("make_notebooks", REPO / "scripts" / "make_notebooks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    done = script.run(path)
    assert not [text for text in outputs(done) if "'output_type': 'error'" in text]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_its_outputs_and_no_paths_of_a_machine(path):
    notebook = nbformat.read(path, as_version=4)
    kept = outputs(notebook)
    assert kept
    assert not [text for text in kept if "/home/" in text or "/tmp/" in text or "/root" in text]
