"""docs/pains.md names the tests that bear a pain's number, and no others."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "pains.md").read_text()


def marked() -> set[tuple[str, str]]:
    """(number, path::name) of every `pytest.mark.pain(number)`."""
    found = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.pain":
                        (number,) = map(ast.literal_eval, mark.args)
                        found.add((number, f"{path.relative_to(ROOT)}::{node.name}"))
    return found


def listed() -> set[tuple[str, str]]:
    found = set()
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        number = section.partition(".")[0]
        found |= {(number, test) for test in re.findall(r"^- `(tests/\S+::\w+)`$", section, re.MULTILINE)}
    return found


def test_the_list_and_the_marks_agree() -> None:
    assert listed() == marked()
    assert len(listed()) > 30


def test_every_pain_is_solved_by_a_test_or_said_not_to_be() -> None:
    solved, _, unsolved = TEXT.partition("## Not solved")
    numbers = re.findall(r"^## (\d+)\.", solved, re.MULTILINE)
    assert set(numbers) == {number for number, _ in listed()}
    rest = re.findall(r"^- \*\*(\d+)\.", unsolved, re.MULTILINE)
    assert sorted(map(int, [*numbers, *rest])) == list(range(1, 26))
