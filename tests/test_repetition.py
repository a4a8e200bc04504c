"""The script that counts repeated code, on files made by hand."""

from benchmarks.repetition import RUN, Line, forms, group, repeated, size

SIX = """
def area(width, height):
    total = 0
    for row in range(height):
        total += width * 2
    check(total)
    return total
"""
RENAMED = """
from somewhere import check as inspect

def surface(w, h):
    \"\"\"Another docstring.

    total = 0
    \"\"\"
    n = 0

    for i in range(h):  # a comment
        n += w * 3
    inspect(n)
    return n
"""
OTHER = """
def volume(width, height, depth):
    return width * height * depth
"""


def test_names_numbers_docstrings_comments_and_imports_do_not_hide_a_repetition():
    found = repeated({"a": [SIX], "b": [RENAMED], "c": [OTHER]})
    assert found["a"].lines == found["b"].lines == RUN
    assert (found["a"].share, found["b"].share, found["c"].share) == (1.0, 1.0, 0.0)


def test_five_lines_are_no_run():
    five = "\n".join(SIX.strip().splitlines()[:5])
    found = repeated({"a": [SIX], "b": [five]})
    assert found["a"].repeated == found["b"].repeated == ()
    assert repeated({"a": [SIX], "b": [five]}, run=5)["a"].repeated == (0, 1, 2, 3, 4)


def test_a_file_does_not_repeat_itself_nor_its_own_folder():
    assert repeated({"a": [SIX, SIX], "b": [OTHER]})["a"].repeated == ()


def test_a_line_in_two_runs_counts_once():
    # seven equal lines hold two runs of six
    seven = SIX + "done = area(1, 2)\n"
    found = repeated({"a": [seven], "b": [seven]})
    assert found["a"].repeated == tuple(range(7))


def test_what_a_line_does_still_tells():
    assert forms("# first\n\nxs = ys + 22\n") == [Line(3, "x = x + 1")]
    assert forms("a = b - 1\n")[0].form != forms("a = b + 1\n")[0].form
    assert forms("if a: pass\n")[0].form != forms("while a: pass\n")[0].form


def test_kernels_and_references_are_apart(tmp_path):
    folder = tmp_path / "engines" / "one"
    folder.mkdir(parents=True)
    for name in ("engine", "kernel", "columns_kernel", "reference", "pass_reference", "__init__"):
        (folder / f"{name}.py").write_text(f"{name} = 1\n")
    assert group(["one"], root=tmp_path) == {"one": ["engine = 1\n"]}
    assert group(["one"], references=True, root=tmp_path) == {"one": ["pass_reference = 1\n", "reference = 1\n"]}
    assert size(("engines/*/*.py",), apart=False, root=tmp_path) == 6
    assert size(("engines/*/*.py",), apart=True, root=tmp_path) == 2
