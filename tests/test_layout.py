"""The layout: no circle of files, functions' imports included, and no crowded folder."""

from pathlib import Path

import pytest

grimp = pytest.importorskip("grimp")
PACKAGE = Path(__file__).parents[1] / "faceverify"
MOST_FILES = 30


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other, by Tarjan's algorithm (SIAM J. Comput., 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        path.append(module)
        for imported in sorted(imports[module]):
            if imported not in number:
                visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in path:
                low[module] = min(low[module], number[imported])
        if low[module] == number[module]:
            place = path.index(module)
            group, path[place:] = path[place:], []
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(imports):
        if module not in number:
            visit(module)
    return found


def test_circles_are_found():
    chain = {"a": {"b"}, "b": {"c"}, "c": set()}
    assert circles(chain) == []
    assert circles(chain | {"c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_circle_of_files():
    graph = grimp.build_graph("faceverify", cache_dir=None)
    imports = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    assert len(imports) > 300
    assert circles(imports) == []


def test_no_folder_is_crowded_or_nearly_empty():
    counts = {
        folder: len(list(folder.glob("*.py")))
        for folder in {file.parent for file in PACKAGE.rglob("*.py")}
    }
    assert {str(folder): count for folder, count in counts.items() if count > MOST_FILES} == {}
    # __init__.py and one more: the folder should be that file
    assert {str(folder) for folder, count in counts.items() if count < 3} == set()
