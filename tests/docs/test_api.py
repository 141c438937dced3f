"""Every public name is in the API reference."""

import ast
import importlib
import pydoc

import pytest
from mmengine.registry import Registry

# What the rooms have inside, for each other.
INTERNAL = ("gcp_mm.ops.cpu_kernels", "gcp_mm.ops.triton_kernels", "gcp_mm.conversion.families")
INTERNAL += ("gcp_mm.datasets.coco_annotations", "gcp_mm.pages")


@pytest.fixture(scope="module")
def documented(site):
    """Return the names in the inventory of the site."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        kinds = InventoryFile.load(file, "", lambda base, path: path)
    return {name for kind, names in kinds.items() if kind.startswith("py:") for name in names}


@pytest.fixture(scope="module")
def objects(documented):
    return [pydoc.locate(name) for name in sorted(documented)]


def public_modules(repo):
    for path in sorted((repo / "gcp_mm").rglob("*.py")):
        names = path.relative_to(repo).with_suffix("").parts
        module = ".".join(names).removesuffix(".__init__")
        if ".mim" in names or module.startswith(INTERNAL) or module == "gcp_mm":
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield importlib.import_module(module)


def test_public_names_are_documented(repo, objects):
    modules = list(public_modules(repo))
    assert len(modules) > 12
    missing = [
        f"{module.__name__}.{name}"
        for module in modules
        for name in module.__all__
        if not any(getattr(module, name) is known for known in objects)
    ]
    assert not missing


def test_registered_classes_are_documented(objects):
    from gcp_mm import registry

    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    for one in registries:
        one.import_from_location()
    registered = {kind for one in registries for kind in one.module_dict.values()}
    # Other tests register some of their own.
    classes = {kind for kind in registered if kind.__module__.startswith("gcp_mm.")}
    assert len(classes) > 30
    # Of functions there are registered ones too.
    assert not classes.difference(kind for kind in objects if callable(kind))


def test_nothing_is_documented_that_is_not_there(documented):
    # Attributes that a class has only in its instances are documented in the class.
    for name in documented:
        assert pydoc.locate(name) or pydoc.locate(name.rpartition(".")[0]), name
