"""ARCHITECTURE.md says which room may use which, and which library. The imports say the same, neither more nor less."""

import ast
import re
import tomllib
from collections import defaultdict
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import pytest

import simlab

PROJECT = Path(__file__).parent.parent
HOUSE = PROJECT / "simlab"
MODULES = sorted(PurePosixPath(path.relative_to(HOUSE).as_posix()) for path in HOUSE.rglob("*.py"))
ARCHITECTURE = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")

IMPORT_NAME = {"pyjpegls": "jpeg_ls", "pyyaml": "yaml"}
ANOTHER_KIND = {
    ("external/model.py", "archive/model.py"),
    ("external/workflow.py", "archive/workflow.py"),
    ("external/workflow.py", "archive/decisions.py"),
}
"""The one exception: a real PACS is taken for an archive in the virtual world."""


def section(heading):
    """The text below a heading of ARCHITECTURE.md."""
    return ARCHITECTURE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@cache
def arrows():
    """The picture of the rooms: {room: the rooms that it uses}, from the top down."""
    picture = re.sub(r",\n +", ", ", section("Rooms"))
    rows = re.findall(r"^    (\S+) +-> (.*)$", picture, re.MULTILINE)
    return {room: set(used.split(", ")) - {"(nothing)"} for room, used in rows}


@cache
def libraries():
    """The table of libraries: {name: the rooms that import it}."""
    rows = re.findall(r"^\| `(\w+)`[^|]*\| ([^|]*) \|", section("Libraries"), re.MULTILINE)
    return {name: set(re.findall(r"`([^`]+)`", rooms)) for name, rooms in rows}


def room_of(module):
    """The room of a module: of all patterns that fit, the closest. A pattern that ends in / is a folder."""

    def fits(pattern):
        parts = pattern.rstrip("/").split("/")
        deep_enough = len(module.parts) > len(parts) if pattern.endswith("/") else len(module.parts) == len(parts)
        return deep_enough and all(map(fnmatchcase, module.parts, parts))

    rooms = [pattern for pattern in arrows() if fits(pattern)]
    assert rooms, f"ARCHITECTURE.md has no room for simlab/{module}"
    return max(rooms, key=lambda pattern: len(pattern.rstrip("/").split("/")))


@cache
def imports_of(module):
    """Dotted names that a module imports; ``from package import name`` counts as the module ``name`` if it is one."""
    names = set()
    for node in ast.walk(ast.parse((HOUSE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"simlab/{module} imports relatively"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in submodules if file_of(name) in MODULES}
            names |= submodules or {node.module}
    return names


def file_of(name):
    """The file of a module of ours, as a path below simlab/; None for other people's."""
    package, *parts = name.split(".")
    if package != "simlab":
        return None
    folder = PurePosixPath(*parts)
    return folder / "__init__.py" if (HOUSE / folder).is_dir() else folder.with_suffix(".py")


def uses():
    """Every import of one module of ours by another."""
    for module in MODULES:
        yield from ((module, used) for used in map(file_of, imports_of(module)) if used is not None)


def test_rooms_use_what_the_picture_says():
    found = defaultdict(set)
    for module, used in uses():
        if room_of(module) != room_of(used):
            found[room_of(module)].add(room_of(used))
    assert {room: sorted(used) for room, used in arrows().items()} == {room: sorted(found[room]) for room in arrows()}


def test_arrows_point_down():
    rooms = list(arrows())
    for room, used in arrows().items():
        for other in used:
            assert rooms.index(other) > rooms.index(room), f"{room} -> {other}"


def test_every_room_has_a_module():
    assert {room_of(module) for module in MODULES} == set(arrows())


def test_libraries_are_used_where_the_table_says():
    found = defaultdict(set)
    for module in MODULES:
        for name in {name.split(".")[0] for name in imports_of(module)}:
            found[name].add(room_of(module))
    expected = {name: sorted(rooms) for name, rooms in libraries().items()}
    assert expected == {name: sorted(found[IMPORT_NAME.get(name, name)]) for name in libraries()}


def test_every_dependency_is_accounted_for():
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {re.split(r"\W", line)[0] for line in declared} <= set(libraries())


def test_kinds_of_node_know_nothing_of_each_other():
    for module, used in uses():
        kinds = [path.parts[1] for path in (module, used) if path.parts[0] == "nodes" and len(path.parts) == 3]
        if len(set(kinds)) == 2:
            pair = (str(module.relative_to("nodes")), str(used.relative_to("nodes")))
            assert pair in ANOTHER_KIND


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_first_lines_say_what_it_is_for(module):
    assert ast.get_docstring(ast.parse((HOUSE / module).read_text(encoding="utf-8")))


@pytest.mark.parametrize("folder", sorted({module.parent for module in MODULES}), ids=str)
def test_every_folder_is_a_package(folder):
    assert folder / "__init__.py" in MODULES


def test_no_file_is_long():
    files = [*HOUSE.rglob("*.py"), *(PROJECT / "tests").rglob("*.py")]
    lengths = {str(file.relative_to(PROJECT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {file: lines for file, lines in lengths.items() if lines > 400} == {}


def test_public_names():
    results = [f"{name}Result" for name in ("Agreement", "Capacity", "Commitment", "Plan", "", "Wan")]
    verbs = ["calibrate", "capacity", "commitment", "compare", "load", "plan", "wan"]
    names = sorted([*results, "Lab", "SimlabError", "UserError", "__version__", *verbs])
    assert sorted(simlab.__all__) == names
    assert all(hasattr(simlab, name) for name in simlab.__all__)
    assert simlab.__version__ == version("simlab")
