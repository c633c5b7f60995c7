"""The rooms of the house (docs/architecture.md): what may import what, and how much stands where."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# From the bottom up: a room imports from itself and from rooms before it.
ROOMS = (
    "reward_score",
    "verl_medu1",
    "exit",
    "extensions",
    "length",
    "models",
    "data",
    "retrieval",
    "run_folder",
    "verl_compat",
    "machine",
    "plan",
    "config",
    "checks",
    "rehearse",
    "training",
    "rollout",
    "cpu",
    "run",
    "cluster",
    "export",
    "evaluate",
    "report",
    "plugin",
    "vllm_plugins",
    "cli",
)
MOST_LINES = 400


def modules() -> Iterator[tuple[str, Path]]:
    """Full names of our modules, with their files."""
    for package in ("verl_medu1", "reward_score"):
        for file in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), file


NAMES = dict(modules())


def room(module: str) -> str:
    """The part of a module's name that says where it stands."""
    first, *rest = module.split(".")
    return rest[0] if first == "verl_medu1" and rest else first


def imports(file: Path) -> Iterator[str]:
    """Names of our modules that a file imports, at its top or inside of a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in NAMES)
        elif isinstance(node, ast.ImportFrom) and node.module in NAMES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in NAMES else str(node.module)


def test_nothing_imports_upward():
    order = {name: place for place, name in enumerate(ROOMS)}
    assert {room(module) for module in NAMES} <= order.keys()
    upward = [
        f"{module} imports {imported}"
        for module, file in NAMES.items()
        for imported in imports(file)
        if order[room(imported)] > order[room(module)]
    ]
    assert upward == []


def test_no_module_imports_itself_by_way_of_others():
    graph = {module: set(imports(file)) - {module} for module, file in NAMES.items()}
    while leaves := [module for module, needed in graph.items() if not needed & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert sorted(graph) == []


def test_cpu_support_is_imported_by_the_plugins_and_where_a_training_starts():
    users = {module for module, file in NAMES.items() if any(room(name) == "cpu" for name in imports(file))}
    assert {user for user in users if room(user) != "cpu"} == {
        "verl_medu1.plugin",
        "verl_medu1.vllm_plugins",
        "verl_medu1.run.train",
        "verl_medu1.cluster.ray_start",
        "verl_medu1.cluster.ray_node",
    }


def test_few_modules_stand_outside_of_a_room():
    outside = {file.stem for file in (ROOT / "verl_medu1").glob("*.py")} - {"__init__"}
    assert outside == {"plugin", "vllm_plugins", "extensions", "exit"}


def test_a_file_can_be_read_in_one_sitting():
    long = {
        str(file.relative_to(ROOT)): lines
        for folder in ("verl_medu1", "reward_score", "tests", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_each_room_says_what_its_modules_do():
    for file in sorted((ROOT / "verl_medu1").glob("*/**/__init__.py")):
        folder = file.parent
        said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        if "\n\n" not in said:  # a list of its modules belongs to a room, and not to a folder of one kind of module
            assert folder.name in ("cli", "sources", "generated", "calculators", "lm_eval_tasks"), folder
            continue
        names = {file.name for file in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
        assert {name for name in names if name not in said} == set(), folder
        assert {word for word in re.findall(r"\b[a-z_0-9]+\.py\b", said) if word not in names} == set(), folder


def test_the_page_has_the_rooms_in_their_order():
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page[page.index("## The rooms") : page.index("Also at the top")]
    named = [
        name for row in re.findall(r"^\| (.+?) \|", table, re.M) for name in re.findall(r"`(?:verl_medu1/)?(\w+)", row)
    ]
    assert named == [name for name in ROOMS if name != "verl_medu1"]
