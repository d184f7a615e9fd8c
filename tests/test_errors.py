"""The list of codes in ``errors.py`` is that of the codes that are raised."""

import ast
from pathlib import Path

import faceverify
from faceverify import errors
from faceverify.errors import CODES, FaceverifyError

SOURCES = sorted(Path(faceverify.__file__).parent.rglob("*.py"))


def test_every_code_that_is_raised_is_listed_and_no_other():
    raised = set().union(*(codes_in(ast.parse(path.read_text("utf-8"))) for path in SOURCES))
    assert sorted(raised - CODES.keys()) == []
    assert sorted(CODES.keys() - raised) == []


def test_a_class_without_a_code_is_never_raised_without_one():
    for path in SOURCES:
        for call in calls_of_errors(ast.parse(path.read_text("utf-8"))):
            assert given(call) or own_code(call), f"{path}:{call.lineno}"


def test_what_each_means_is_one_short_line():
    for code, meaning in CODES.items():
        assert code == code.lower()
        assert 10 < len(meaning) < 90
        assert "\n" not in meaning
        assert meaning[-1] not in ".,;"


def codes_in(tree: ast.AST) -> set[str]:
    """Codes that errors are made with in a module: those of their classes, and those given."""
    found = set()
    for call in calls_of_errors(tree):
        value = given(call)
        if value is None or may_be_none(value, tree):
            found.add(own_code(call))
        if value is not None:
            found |= texts(value, tree)
    return found - {None}


def calls_of_errors(tree: ast.AST) -> list[ast.Call]:
    """Calls of FaceverifyError and its subclasses, and those that pass on another error's code."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name == "type(error)" or issubclass(error_class(name), FaceverifyError):
                found.append(node)
    return found


def error_class(name: str) -> type:
    found = getattr(errors, name.rpartition(".")[2], None)
    return found if isinstance(found, type) else object


def given(call: ast.Call) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == "code"), None)


def own_code(call: ast.Call) -> str | None:
    return getattr(error_class(ast.unparse(call.func)), "code", None)


def texts(value: ast.expr, tree: ast.AST) -> set[str]:
    """What an expression may be, all ways through a conditional or a variable included."""
    if isinstance(value, ast.Constant):
        return {value.value} - {None}
    if isinstance(value, ast.IfExp):
        return texts(value.body, tree) | texts(value.orelse, tree)
    if isinstance(value, ast.Name):
        return set().union(*(texts(one, tree) for one in assigned(value.id, tree)))
    assert ast.unparse(value) == "error.code"  # another error's, passed on
    return set()


def may_be_none(value: ast.expr, tree: ast.AST) -> bool:
    if isinstance(value, ast.IfExp):
        return may_be_none(value.body, tree) or may_be_none(value.orelse, tree)
    if isinstance(value, ast.Name):
        return any(may_be_none(one, tree) for one in assigned(value.id, tree))
    return isinstance(value, ast.Constant) and value.value is None


def assigned(name: str, tree: ast.AST) -> list[ast.expr]:
    """Expressions that a module assigns to a variable, in ``a, b = c, d`` too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            (target,) = node.targets
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            found += [value for one, value in pairs if isinstance(one, ast.Name) and one.id == name]
    assert found, name
    return found
