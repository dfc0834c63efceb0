"""What README and docs tell people to type works: blocks marked ``sh`` are run, all other commands are parsed.

A block that cannot be run has a comment before it that says why: ``<!-- not run: why -->``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from plait.jobs.cli import app

REPO = Path(__file__).parents[2]
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?```sh\n(?P<code>.*?)```", re.DOTALL)
COMMAND = re.compile(r"^(?:    )?(?:\$ )?(plait [^#\n]*(?:\\\n[^#\n]*)*)", re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Blocks of a page: (why it is not run or "", code)."""
    return [(found["why"] or "", found["code"]) for found in BLOCK.finditer(page.read_text("utf-8"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(["sh", str(REPO / "scripts/demo_site.sh"), sys.executable, str(folder)], check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(not why for why, _ in blocks(page))], ids=lambda page: page.name
)
def test_blocks_run_from_top_to_bottom(page, site, tmp_path):
    shutil.copytree(site, tmp_path / "demo")
    (tmp_path / "scripts").symlink_to(REPO / "scripts")
    code = "\n".join(code for why, code in blocks(page) if not why)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-euc", code], cwd=tmp_path, env=env, text=True, capture_output=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def commands() -> list[tuple[str, str]]:
    """Every command line of plait in the pages: (page, command)."""
    known = typer.main.get_command(app).commands
    return [
        (page.name, re.sub(r"\s*\\\n\s*", " ", found[1]).strip())
        for page in PAGES
        for found in COMMAND.finditer(page.read_text("utf-8"))
        if found[1].split()[1] in known or found[1].split()[1] in ("--quiet", "--log-file")
    ]


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_have_the_options_that_pages_name(page, line):
    program = typer.main.get_command(app)
    arguments = shlex.split(line.split(" | ")[0].split(" && ")[0].split("; ")[0])[1:]
    context = program.make_context("plait", arguments, resilient_parsing=False)
    if context.invoked_subcommand is None and not context._protected_args:
        return
    name, command, rest = program.resolve_command(context, [*context._protected_args, *context.args])
    while hasattr(command, "commands"):
        inner = command.make_context(name, rest, parent=context)
        name, command, rest = command.resolve_command(inner, [*inner._protected_args, *inner.args])
    command.make_context(name, rest, parent=context)


def test_every_block_that_is_not_run_says_why():
    reasons = [why for page in PAGES for why, _ in blocks(page) if why]
    assert all(len(why) > 10 for why in reasons)
    assert len(commands()) > 20


def test_site_is_built_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=REPO, text=True, capture_output=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    recipe = (tmp_path / "recipe-obelics.html").read_text("utf-8")
    assert recipe.count("<h3") >= 30
    pages = "".join(page.read_text("utf-8") for page in tmp_path.glob("*.html"))
    assert not re.findall(r'(?:src|href)="https?://fonts', pages)
