"""The rooms of the package stand in one order, and docs/architecture.md says which."""

import ast
import re

import pytest

# The table, the figure and the rooms on the disk are compared with one another.
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
PACKAGES = re.compile(r"^\| `(\w+)` \|[^|]*\| ([a-z, -]+) \|$", re.MULTILINE)
OPENMMLAB = ("mmengine", "mmcv", "mmdet", "mmpretrain")
STATION = re.compile(r"\[([\w./]+/[\w./]+)\]")
# What importing the plugin changes, and the name that the package gives itself.
ABOVE_ALL = {"_activate", "__init__"}


@pytest.fixture(scope="module")
def page(repo):
    return (repo / "docs/architecture.md").read_text()


@pytest.fixture(scope="module")
def arrows(repo):
    """(file, room it is in, module it imports, room or package of that module) of every import."""
    package = repo / "gcp_mm"

    def room(module: str) -> str:
        name = module.split(".")[1]
        return name if (package / name).is_dir() else "ground"

    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        if ".mim" in inside.parts or inside.stem in ABOVE_ALL and len(inside.parts) == 1:
            continue
        here = inside.parts[0] if len(inside.parts) > 1 else "ground"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                # `from gcp_mm import room` names the room, not the ground floor.
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                package_name = name.partition(".")[0]
                if name.startswith("gcp_mm."):
                    found.append((str(inside), here, name, room(name)))
                elif package_name in OPENMMLAB:
                    found.append((str(inside), here, name, package_name))
    return found


def test_the_page_names_every_room(repo, page):
    rooms = {path.parent.name for path in (repo / "gcp_mm").glob("*/__init__.py")}
    assert set(ROW.findall(page)) == rooms | {"ground"}


def test_no_import_runs_back_up(page, arrows):
    place = {name: index for index, name in enumerate(ROW.findall(page))}
    assert len(arrows) > 500
    wrong = [
        f"{path} imports {name}"
        for path, here, name, there in arrows
        if there in place and place[there] > place[here]
    ]
    assert not wrong


def test_the_page_says_what_a_room_needs_of_openmmlab(page, arrows):
    said = dict(PACKAGES.findall(page))
    assert set(said) == set(ROW.findall(page))
    for room, packages in said.items():
        used = {there for _, here, _, there in arrows if here == room} & set(OPENMMLAB)
        assert packages == (", ".join(sorted(used)) or "-"), room


def test_rooms_say_what_is_in_them(repo):
    for path in (repo / "gcp_mm").rglob("__init__.py"):
        if ".mim" not in path.parts:
            assert ast.get_docstring(ast.parse(path.read_text())), f"{path} says nothing"


def test_ways_are_short_and_lead_through_files(repo, page):
    ways = page.split("subgraph ")[1:]
    assert len(ways) == 4
    for way in ways:
        stations = STATION.findall(way)
        assert 3 <= len(stations) <= 8 and len(set(stations)) == len(stations)
        for station in stations:
            assert list((repo / "gcp_mm").glob(f"{station.replace('...', '*')}.py")), station
