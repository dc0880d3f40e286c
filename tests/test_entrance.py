"""`import bat`: its names, what they cost, and that none hides a module."""

import ast
import subprocess
import sys

import bat

HEAVY = ("torch", "pandas", "numpy", "matplotlib", "scipy", "sklearn", "pyarrow", "pydantic")


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_alone_loads_no_library():
    assert python(f"import sys, bat; print([n for n in {HEAVY} if n in sys.modules])") == "[]"


def test_scores_are_read_and_estimated_without_torch():
    code = "import sys, bat; bat.read_scores; bat.run_trials; bat.memorization; bat.compare"
    assert python(f"{code}; bat.from_arrays; print('torch' in sys.modules)") == "False"


def test_every_public_name_is_there_and_known_to_type_checkers(repository):
    tree = ast.parse((repository / "bat" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.asname or alias.name for node in block.body for alias in node.names}
    assert typed == set(bat.__all__) == bat._PLACES.keys()
    assert len(bat.__all__) <= 30
    assert set(bat.__all__) <= set(dir(bat))
    for name in bat.__all__:
        assert getattr(bat, name).__doc__, name


def test_type_checkers_are_told_of_the_same_objects(repository):
    tree = ast.parse((repository / "bat" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    found = {}
    exec(compile(ast.Module(block.body, []), "typed", "exec"), found)
    for name in bat.__all__:
        assert found[name] is getattr(bat, name), name


def test_no_public_name_is_that_of_a_module_but_the_rooms_themselves(repository):
    modules = {path.stem for path in (repository / "bat").iterdir() if path.suffix in ("", ".py")}
    assert modules & set(bat.__all__) == {"attacks", "objectives"}


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(bat, "memorisation")


def test_a_command_ends_without_looking_through_all_that_it_imported():
    code = (
        "import atexit, gc, runpy, sys; sys.argv = ['bat', '--version'];"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0));"
        "runpy.run_module('bat', run_name='__main__')"
    )
    assert python(code).endswith("True")
