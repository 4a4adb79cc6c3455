"""The house's rules that a machine can judge, over the source of hiersep: floors, cycles, sizes, what is never done.

Every rule is a function from sources to a list of complaints, ``place: what is wrong``; the rules themselves are
tested on small sources that break them.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# Imports point down, or leftwards within a line. DESIGN §1, as built:
# - `files` (atomic writes), `confined` (no name in data leads out of its folder), `strict_yaml` (the strict reader) and
#   `typed` (values against type hints) are rooms that the design does not name: hierarchy and config read by the last
#   two, audio and nearly all above write by the first.
# - `__init__` is the package's own: it imports `errors` when it is loaded; its other public names it finds on first
#   use, for whoever stands outside. Inside, only the version is taken from it.
FLOORS = (
    ("errors", "__init__", "files", "confined", "provenance", "compat"),
    ("strict_yaml", "typed", "hierarchy", "audio", "config", "stft"),
    ("data", "render", "models"),
    ("losses", "metrics", "plots"),
    ("training", "separation", "evaluation"),
    ("report", "doctor", "app", "cli", "__main__"),
)
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

UNPICKLING = {"pickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"}
PICKLE_ERRORS = {"PickleError", "PicklingError", "UnpicklingError"}  # what torch.load raises may be caught
FORBIDDEN_CALLS = {
    **dict.fromkeys(("eval", "exec", "builtins.eval", "builtins.exec"), "runs text as code"),
    **dict.fromkeys(("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), "starts a shell"),
    **dict.fromkeys(("yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all"), "is unsafe"),
    **dict.fromkeys(("joblib.load", "pandas.read_pickle", "pd.read_pickle"), "unpickles"),
    **dict.fromkeys(("torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"), "runs code of a file"),
}


class Source(NamedTuple):
    """A module: its name, whether it is a package's ``__init__``, and its text."""

    name: str
    is_package: bool
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def at(self, node: ast.AST) -> str:
        return f"{self.name}:{node.lineno}"


def read_package(folder: Path) -> list[Source]:
    sources = []
    for path in sorted(folder.rglob("*.py")):
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        sources.append(Source(".".join(parts[:-1] if is_package else parts), is_package, path.read_text("utf-8")))
    return sources


PACKAGE = read_package(ROOT / "hiersep")
SETUP = (ROOT / "setup.py").read_text("utf-8")


# --- who imports whom


def run_time(node: ast.AST):
    """Yield every node below, but for what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from run_time(other)
            continue
        yield child
        yield from run_time(child)


def imports(source: Source, modules: set[str]):
    """Yield (module, name taken or None, node) per import of one of `modules`, wherever in the source it stands."""
    package = source.name if source.is_package else source.name.rpartition(".")[0]
    for node in run_time(source.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, node) for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                if f"{base}.{alias.name}" in modules:
                    yield f"{base}.{alias.name}", None, node
                elif base in modules:
                    yield base, alias.name, node
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            if name in modules:
                yield name, None, node


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def floor_complaints(sources: list[Source], floors=FLOORS) -> list[str]:
    place = {room: (floor, column) for floor, rooms in enumerate(floors) for column, room in enumerate(rooms)}
    modules = {source.name for source in sources}
    complaints = [f"{s.name}: its room has no floor; give it one" for s in sources if room_of(s.name) not in place]
    complaints += [f"{room}: has a floor, and no module" for room in place if room not in map(room_of, modules)]
    for source in sources:
        here = room_of(source.name)
        for target, name, node in imports(source, modules):
            there = room_of(target)
            if here not in place or there not in place or here == there:
                continue
            (floor, column), (other_floor, other_column) = place[here], place[there]
            if other_floor > floor:
                complaints.append(f"{source.at(node)}: imports {target}, from floor {floor} up to {other_floor}")
            elif other_floor == floor and other_column > column:
                complaints.append(f"{source.at(node)}: imports {target}, to the right on floor {floor}")
            elif there == "__init__" and name != "__version__":
                complaints.append(f"{source.at(node)}: takes {name or 'all'} from the package; name its module")
    return complaints


def cycle_complaints(sources: list[Source]) -> list[str]:
    """Name a way round for every module that imports itself by way of others; each cycle once."""
    modules = {source.name for source in sources}
    below = {s.name: sorted({target for target, _, _ in imports(s, modules)} - {s.name}) for s in sources}
    cycles = {}
    for start in below:
        previous, queue = {}, [start]
        while queue:
            module = queue.pop(0)
            for target in below[module]:
                if target == start:
                    way = [module]
                    while way[-1] != start:
                        way.append(previous[way[-1]])
                    cycles.setdefault(frozenset(way), f"cycle: {' -> '.join([*reversed(way), start])}")
                elif target not in previous:
                    previous[target] = module
                    queue.append(target)
    return list(cycles.values())


# --- sizes


def size_complaints(source: Source) -> list[str]:
    lines = len(source.text.splitlines())
    complaints = [f"{source.name}: {lines} lines, more than {LONGEST_FILE}"] if lines > LONGEST_FILE else []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            if length > LONGEST_FUNCTION:
                complaints.append(f"{source.at(node)}: {node.name} has {length} lines, more than {LONGEST_FUNCTION}")
    return complaints


# --- what is never done


def never_complaints(source: Source) -> list[str]:
    complaints = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert):
            complaints.append(f"{source.at(node)}: assert; raise an error that says what to do")
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            complaints.append(f"{source.at(node)}: bare except; name what is caught")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if names == ["pickle"] and {alias.name for alias in node.names} <= PICKLE_ERRORS:
                continue
            bad = sorted({name.split(".")[0] for name in names} & UNPICKLING)
            complaints += [f"{source.at(node)}: imports {name}; nothing is unpickled here" for name in bad]
            if isinstance(node, ast.ImportFrom):
                taken = {f"{node.module}.{alias.name}" for alias in node.names}
                hidden = sorted(taken & {*FORBIDDEN_CALLS, "torch.load", "yaml.load"})
                complaints += [
                    f"{source.at(node)}: takes {name} out of its module; call it by its name" for name in hidden
                ]
        elif isinstance(node, ast.Call):
            complaints += [f"{source.at(node)}: {what}" for what in call_complaints(source, node)]
    return complaints


def call_complaints(source: Source, call: ast.Call):
    name = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name == "print" and room_of(source.name) != "cli":
        yield "print outside cli/; log, warn or return it"
    if name in FORBIDDEN_CALLS:
        yield f"{name} {FORBIDDEN_CALLS[name]}"
    if keywords.get("shell", "False") != "False":
        yield f"{name} with shell={keywords['shell']}"
    if keywords.get("allow_pickle", "False") != "False":
        yield f"{name} with allow_pickle={keywords['allow_pickle']}"
    if name == "torch.load" and keywords.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if name in ("yaml.load", "yaml.load_all"):
        loader = keywords.get("Loader") or (ast.unparse(call.args[1]) if len(call.args) > 1 else "")
        if not is_safe_loader(loader, source.tree):
            yield f"{name} with the loader '{loader}', which is no SafeLoader"


def is_safe_loader(name: str, tree: ast.Module) -> bool:
    """Say whether a loader is one of PyYAML's safe ones, or a module's own name for one, or a subclass."""
    if name in ("yaml.SafeLoader", "yaml.CSafeLoader"):
        return True
    if name == "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)":
        return True
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return bool(node.bases) and all(is_safe_loader(ast.unparse(base), tree) for base in node.bases)
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(ast.unparse(target) == name for target in targets) and node.value is not None:
            value = ast.unparse(node.value)
            return value != name and is_safe_loader(value, tree)
    return False


# --- the house as it stands


def test_the_package_is_found():
    assert {"hiersep", "hiersep.errors", "hiersep.cli.tree"} <= {source.name for source in PACKAGE}


def test_imports_point_down_or_left():
    assert floor_complaints(PACKAGE) == []


def test_no_modules_import_each_other_in_a_circle():
    assert cycle_complaints(PACKAGE) == []


def test_files_and_functions_are_short():
    # Tests are left out: a table of forty malformed files is one thought, however long.
    sources = [*PACKAGE, *read_package(ROOT / "recipes"), *read_package(ROOT / "benchmarks")]
    assert [complaint for source in sources for complaint in size_complaints(source)] == []


def test_nothing_is_done_that_is_never_done():
    assert [complaint for source in PACKAGE for complaint in never_complaints(source)] == []


def test_recipes_and_benchmarks_run_no_code_of_data_either():
    sources = [*read_package(ROOT / "recipes"), *read_package(ROOT / "benchmarks"), Source("setup", False, SETUP)]
    complaints = [complaint for source in sources for complaint in never_complaints(source)]
    allowed = (": print outside", ": assert;")  # they speak to whoever runs them
    assert [complaint for complaint in complaints if not any(word in complaint for word in allowed)] == []


def uncollected(folder: Path) -> list[str]:
    """Python files that pytest passes by, and test files without a test."""
    complaints = []
    for path in sorted(folder.rglob("*.py")):
        if path.parent != folder and (path.parent / "__init__.py").is_file():
            continue  # a package, which a test imports
        if path.name in ("conftest.py", "helpers.py", "pages.py", "__init__.py") or path.name.startswith("make_"):
            continue
        functions = [n.name for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.FunctionDef)]
        if not path.name.startswith("test_"):
            complaints.append(f"{path.relative_to(folder)}: is not collected; call it test_*.py")
        elif not any(name.startswith("test_") for name in functions):
            complaints.append(f"{path.relative_to(folder)}: holds no test")
    return complaints


def test_every_test_file_is_collected():
    assert uncollected(ROOT / "tests") == []


# --- the rules catch what breaks them


def module(name: str, text: str = "", is_package: bool = False) -> Source:
    return Source(name, is_package, text)


SMALL_FLOORS = (("low", "__init__"), ("left", "right"), ("high",))
SMALL_HOUSE = [module("h", is_package=True), *(module(f"h.{room}") for room in ("low", "left", "right"))]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("h.high", "import h.low\nfrom h.right import x\nfrom h import left, __version__", ""),
        ("h.high.inner", "from h.high import x\nfrom . import y\nfrom ..low import z", ""),
        ("h.high", "if TYPE_CHECKING:\n    from h.highest import x", ""),
        ("h.high", "from h import Thing", "takes Thing from the package"),
        ("h.high", "import h", "takes all from the package"),
        ("h.roof", "", "no floor"),
    ],
)
def test_floors_on_small_houses(name, text, complaint):
    found = floor_complaints([*SMALL_HOUSE, module("h.high"), module(name, text)], SMALL_FLOORS)
    assert len(found) == bool(complaint), found
    assert all(complaint in text for text in found)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("h.low", "import h.high", "h.low:1: imports h.high, from floor 0 up to 2"),
        ("h.low", "def f():\n    from h.high import x", "h.low:2: imports h.high, from floor 0 up to 2"),
        ("h.low", "class A:\n  def f(self):\n    from .high import x", "h.low:3: imports h.high"),
        ("h.low", "if TYPE_CHECKING:\n    pass\nelse:\n    import h.high", "h.low:4: imports h.high"),
        ("h.low", "importlib.import_module('h.high')", "h.low:1: imports h.high"),
        ("h.left.deep", "from ..right import x", "to the right on floor 1"),
        ("h.left", "from h import right", "to the right on floor 1"),
    ],
)
def test_upward_and_rightward_imports_are_caught(name, text, complaint):
    house = [source for source in SMALL_HOUSE if source.name != name]
    (found,) = floor_complaints([*house, module("h.high"), module(name, text)], SMALL_FLOORS)
    assert complaint in found


def test_a_floor_for_a_room_that_is_gone_is_caught():
    assert floor_complaints(SMALL_HOUSE, SMALL_FLOORS) == ["high: has a floor, and no module"]


def test_cycles_are_caught_in_functions_and_within_rooms_and_named_once():
    sources = [
        module("h.a.x", "def f():\n    from h.a.y import g"),
        module("h.a.y", "from h.a import z"),
        module("h.a.z", "import h.a.x\nimport h.b"),
        module("h.b", "if TYPE_CHECKING:\n    import h.a.x"),
    ]
    assert cycle_complaints(sources) == ["cycle: h.a.x -> h.a.y -> h.a.z -> h.a.x"]
    assert cycle_complaints(sources[1:]) == []


def test_long_files_and_functions_are_caught():
    def body(lines: int) -> str:
        return "def f():\n" + "    x = 1\n" * (lines - 1)

    assert size_complaints(module("h.a", body(LONGEST_FUNCTION))) == []
    assert size_complaints(module("h.a", body(LONGEST_FUNCTION + 1))) == ["h.a:1: f has 61 lines, more than 60"]
    assert size_complaints(module("h.a", "x = 1\n" * LONGEST_FILE)) == []
    assert size_complaints(module("h.a", "x = 1\n" * (LONGEST_FILE + 1))) == ["h.a: 401 lines, more than 400"]


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "class Strict(yaml.SafeLoader): pass\nyaml.load(text, Strict)",
        "L = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)\nyaml.load(text, Loader=L)",
        "torch.load(path, weights_only=True)",
        "from pickle import UnpicklingError",
        "subprocess.run(['ls'], shell=False)",
        "np.load(path, allow_pickle=False)",
    ],
)
def test_what_is_allowed_passes(text):
    assert never_complaints(module("h.a", text)) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("assert x", "assert"),
        ("try:\n    f()\nexcept:\n    pass", "bare except"),
        ("print('x')", "print"),
        ("import pickle", "imports pickle"),
        ("def f():\n    from pickle import loads", "imports pickle"),
        ("from pickle import UnpicklingError, loads", "imports pickle"),
        ("eval('1')", "eval runs"),
        ("exec('1')", "exec runs"),
        ("os.system('ls')", "starts a shell"),
        ("from os import system", "takes os.system"),
        ("subprocess.run('ls', shell=True)", "shell=True"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("yaml.load(text)", "no SafeLoader"),
        ("yaml.load(text, Loader=yaml.Loader)", "no SafeLoader"),
        ("yaml.load(text, yaml.UnsafeLoader)", "no SafeLoader"),
        ("class L(yaml.FullLoader): pass\nyaml.load(text, Loader=L)", "no SafeLoader"),
        ("L = yaml.Loader\nyaml.load(text, Loader=L)", "no SafeLoader"),
        ("yaml.unsafe_load(text)", "unsafe"),
        ("torch.load(path)", "weights_only"),
        ("torch.hub.load(path)", "runs code of a file"),
        ("pd.read_pickle(path)", "unpickles"),
        ("torch.load(path, weights_only=False)", "weights_only"),
        ("from torch import load", "takes torch.load"),
    ],
)
def test_what_is_never_done_is_caught(text, complaint):
    (found,) = never_complaints(module("h.a", text))
    assert complaint in found


def test_the_command_line_may_print():
    assert never_complaints(module("hiersep.cli.tree", "print('x')")) == []


def test_a_test_file_that_pytest_would_pass_by_is_caught(tmp_path):
    (tmp_path / "test_good.py").write_text("def test_a(): pass")
    (tmp_path / "empty_test.py").write_text("def test_a(): pass")
    (tmp_path / "test_bad.py").write_text("def check_a(): pass")
    (tmp_path / "helpers.py").write_text("")
    assert uncollected(tmp_path) == [
        "empty_test.py: is not collected; call it test_*.py",
        "test_bad.py: holds no test",
    ]
