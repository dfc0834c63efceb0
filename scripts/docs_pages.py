"""Pages of the documentation that are made from the code: recipes rule by rule, commands, schemas, Python.

A hook of mkdocs: nothing is written to `docs/`.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator

import pyarrow as pa
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from typer.core import TyperCommand, TyperGroup

from plait.filters.recipe import Recipe, load_recipe, recipe_names
from plait.filters.scores import SCORES
from plait.schemas.reasons import REASONS

Command = TyperCommand | TyperGroup

MODULES = {
    "plait.loader": None,
    "plait.jobs": None,
    "plait.pipeline.extract": None,
    "plait.filters.recipe": ("Recipe", "load_recipe", "recipe_names"),
    "plait.filters.rules": None,
    "plait.filters.quality": ("train", "read_texts", "quality"),
    "plait.explorer.report": None,
    "plait.schemas.errors": None,
    "plait.schemas.manifest": None,
}
"""What is documented: the names that a module gives away (``__all__``, else what it defines), or those named."""

SCHEMAS = {
    "plait.schemas.shards": ("IMAGE_INFO",),
    "plait.schemas.documents": ("PAGE", "NODE"),
    "plait.schemas.images": ("OCCURRENCE", "LOCATOR", "PACKED"),
    "plait.schemas.ledger": ("DROP", "NODE_SAMPLE"),
    "plait.schemas.manifest": ("SHARD_LIST", "INPUT_LIST"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages, and lists them in the navigation."""
    pages = {f"recipe-{name}.md": recipe_page(load_recipe(name)) for name in recipe_names()}
    pages |= {"commands.md": commands_page(), "schemas.md": schemas_page(), "python.md": python_page()}
    pages["reasons.md"] = reasons_page()
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    if config.nav is not None:
        for entry in config.nav:
            if "Recipes" in entry:
                entry["Recipes"] += [{name: f"recipe-{name}.md"} for name in recipe_names()]
        reference = {"Commands": "commands.md", "Python": "python.md", "Schemas": "schemas.md", "Reasons": "reasons.md"}
        config.nav.append({"Reference": [{name: path} for name, path in reference.items()]})
    return files


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def recipe_page(recipe: Recipe) -> str:
    """A recipe, rule by rule, with what each of its scores measures."""
    settings = {name: values for name, values in recipe if isinstance(values, BaseModel)}
    lines = [f"# Recipe {recipe.name}", "", recipe.description, "", "## Settings", "", "| key | value |", "|---|---|"]
    for section, values in settings.items():
        lines += [f"| `{section}.{key}` | {cell(str(value))} |" for key, value in values.model_dump().items()]
    lines += [f"| `passes` | {recipe.passes} |", f"| `mask_pii` | {recipe.mask_pii} |", "", "## Rules, in order", ""]
    for number, rule in enumerate(recipe.rules, 1):
        lines += [f"### {number}. {rule.name}", ""]
        if rule.edit:
            lines.append(f"Edits every {rule.scope}: `{rule.edit}`.")
        else:
            lines.append(f"Keeps a {rule.scope} where `{rule.keep}`.")
        if rule.languages:
            lines.append(f"Looks only at documents in {', '.join(rule.languages)}.")
        if not rule.unknown_keeps:
            lines.append("Drops where a score is not known.")
        if rule.requires:
            lines.append(f"Needs {', '.join(f'`{need}`' for need in rule.requires)}; without, it is left out.")
        if rule.stage == "assemble":
            lines.append("Decided at assembly, when the pictures are there.")
        lines += ["", f"Source: {rule.source}.", ""]
        lines += [f"- `{name}`: {SCORES[name].doc}" for name in dict.fromkeys(rule.scores) if name in SCORES]
        lines.append("")
    return "\n".join(lines)


def commands_page() -> str:
    """Every command with its options, as `--help` says them."""
    from plait.jobs.cli import app

    program = typer.main.get_command(app)
    lines = ["# Commands", "", program.epilog or "", "", *_options(program)]
    for path, command in commands(program, "plait"):
        if path == "plait" or hasattr(command, "commands"):
            continue
        text = re.sub(r"\[dim\](.*?)\[/dim\]", r"`\1`", inspect.cleandoc(command.help or ""))
        lines += [f"## {path}", "", text, "", *_options(command)]
    return "\n".join(lines)


def commands(command: Command, path: str) -> Iterator[tuple[str, Command]]:
    """A command and those below it."""
    yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from commands(child, f"{path} {name}")


def _options(command: Command) -> list[str]:
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        said = getattr(parameter, "help", None) or ""
        default = parameter.default
        shown = "" if default is None or default == "" or callable(default) else f" Default: `{default}`."
        name = f"`{names}`" if parameter.param_type_name == "option" else f"`{(parameter.name or '').upper()}`"
        rows.append(f"| {name} | {cell(said + shown)} |")
    return ["| option | meaning |", "|---|---|", *rows, ""] if rows else []


def schemas_page() -> str:
    """Tables that plait writes, column by column."""
    lines = ["# Schemas", "", "A shard has these leading columns, then the recipe's scores, sorted by name.", ""]
    from plait.schemas.shards import shard_schema

    lines += _columns(shard_schema({}))
    for module, names in SCHEMAS.items():
        source = inspect.getsource(importlib.import_module(module))
        for name in names:
            schema = getattr(importlib.import_module(module), name)
            lines += ["", f"## {name}", "", f"`{module}.{name}`", "", *_columns(schema, source)]
    return "\n".join(lines)


def _columns(schema: pa.Schema | pa.StructType, source: str = "") -> list[str]:
    rows = ["| column | type | |", "|---|---|---|"]
    for field in schema:
        note = re.search(rf'pa\.field\("{field.name}".*?\),?\s+# (.*)', source)
        kind = "list of struct" if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type) else ""
        rows.append(f"| `{field.name}` | {cell(kind or str(field.type))} | {cell(note[1]) if note else ''} |")
    return rows


def python_page() -> str:
    """What programs import, from its docstrings."""
    lines = ["# Python", ""]
    for module_name, named in MODULES.items():
        module = importlib.import_module(module_name)
        lines += [f"## {module_name}", "", inspect.getdoc(module) or "", ""]
        for name in named or _public(module):
            lines += _entry(name, getattr(module, name), "###")
    return "\n".join(lines)


def _public(module: object) -> list[str]:
    given = getattr(module, "__all__", None)
    if given is not None:
        return [name for name in given if not name.startswith("_")]
    return [
        name for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == getattr(module, "__name__", "")
        and (inspect.isfunction(value) or inspect.isclass(value))
    ]  # fmt: skip


def _entry(name: str, value: object, level: str) -> list[str]:
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return []
    try:
        signature = str(inspect.signature(value))
    except ValueError:
        signature = ""
    lines = [f"{level} {name}", "", "```python", f"{name}{signature}", "```", "", *_prose(inspect.getdoc(value)), ""]
    if inspect.isclass(value):
        for method_name, method in vars(value).items():
            if not method_name.startswith("_") and inspect.isfunction(method) and method.__doc__:
                lines += _entry(f"{name}.{method_name}", method, f"{level}#")
    return lines


_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):$")


def _prose(text: str | None) -> list[str]:
    """A Google-style docstring as Markdown."""
    lines: list[str] = []
    listed = False
    for line in (text or "").splitlines():
        if _SECTION.match(line):
            listed = True
            lines += ["", f"**{line[:-1]}**", ""]
        elif listed and (found := re.match(r"^    (\*{0,2}\w[\w., ]*?): (.*)$", line)):
            lines.append(f"- `{found[1]}`: {found[2]}")
        elif listed and line.startswith("    "):
            lines.append(f"  {line.strip()}" if lines and lines[-1].startswith(("- ", "  ")) else line.strip())
        else:
            listed = listed and not line.strip()
            lines.append(line)
    return lines


def reasons_page() -> str:
    """Reasons that stages give by themselves."""
    rows = [f"| `{name}` | {cell(said)} |" for name, said in REASONS.items()]
    head = ["# Reasons", "", "Why stages drop something by themselves; every other reason is the name of a rule.", ""]
    return "\n".join([*head, "| reason | meaning |", "|---|---|", *rows, ""])
