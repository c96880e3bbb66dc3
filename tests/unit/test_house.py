"""The house's rules: what may import what, sans-I/O cores, file sizes, docstrings, kernels in two equal copies."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aurora.kernels import MODULES
from aurora.sim.points import points

ROOT = Path(__file__).parents[2]
PROGRAMS = ("aurora", "compute_node", "storage_node")
LINES_MAX = 1000

STAGES = (
    "hub",
    "work",
    "types",
    "relations",
    "protocol",
    "volume",
    "txn",
    "sql",
    "access",
    "replica",
    "exec",
    "extensions",
    "session",
    "catalog",
    "wire",
    "forward",
    "engine",
    "health",
    "metrics",
    "config",
    "roles",
    "opening",
    "server",
    "__main__",
)
"""The stages of compute from below: each imports only stages before it, for type checkers too. Where a statement goes
on upwards (a session runs an engine that stands on it), the lower one declares a protocol."""

OUTSIDE_WORLD = frozenset(("time", "random", "socket", "asyncio", "grpc", "os", "threading", "subprocess"))
"""What a core may know only through what it is passed (design, wall 11)."""

CORES = (
    "aurora/batch.py",
    "aurora/encryption.py",
    "aurora/buggify.py",
    "aurora/geometry.py",
    "aurora/ids.py",
    "aurora/kernels/python",
    "aurora/medium.py",
    "aurora/page.py",
    "aurora/placement.py",
    "aurora/quorum.py",
    "aurora/truncation.py",
    "compute_node/replica/apply.py",
    "compute_node/replica/feed.py",
    "compute_node/replica/known.py",
    "compute_node/volume/durable.py",
    "compute_node/volume/fleet.py",
    "compute_node/volume/flusher.py",
    "compute_node/volume/handshake.py",
    "compute_node/volume/messages.py",
    "compute_node/volume/monitor.py",
    "compute_node/volume/recovery.py",
    "compute_node/volume/writer_core.py",
    "compute_node/protocol/messages.py",
    "compute_node/wire/scram.py",
    "compute_node/wire/startup.py",
    "storage_node/backup.py",
    "storage_node/backup_objects.py",
    "storage_node/backup_time.py",
    "storage_node/backup_turn.py",
    "storage_node/coalesce.py",
    "storage_node/coverage.py",
    "storage_node/effects.py",
    "storage_node/evidence.py",
    "storage_node/gossip.py",
    "storage_node/hot_log.py",
    "storage_node/limits.py",
    "storage_node/log_scrub.py",
    "storage_node/membership.py",
    "storage_node/meta.py",
    "storage_node/node.py",
    "storage_node/node_status.py",
    "storage_node/page_cache.py",
    "storage_node/page_range.py",
    "storage_node/page_store.py",
    "storage_node/refill.py",
    "storage_node/repairs.py",
    "storage_node/scrub.py",
    "storage_node/segment.py",
    "storage_node/snapshots.py",
)
SYNCHRONOUS = (
    "compute_node/access",
    "compute_node/catalog",
    "compute_node/exec",
    "compute_node/session",
    "compute_node/sql",
    "compute_node/txn",
    "compute_node/types",
)
"""Ordinary synchronous code, which waits through ``compute_node.hub`` alone (wall 7)."""
DECLARATIONS = frozenset(
    (
        "compute_node/catalog/aggregates.py",
        "compute_node/catalog/bootstrap_rows.py",
        "compute_node/catalog/coverage.py",
        "compute_node/catalog/layer.py",
        "compute_node/catalog/objects.py",
        "compute_node/catalog/io_functions.py",
        "compute_node/catalog/system_functions.py",
        "compute_node/extensions/citext/__init__.py",
        "compute_node/catalog/view.py",
        "compute_node/catalog/views.py",
        "compute_node/relations/storage_types.py",
    )
)
"""Who knows the built-in declarations besides ``types``: all others ask the catalog view (wall 6)."""
WAITING = frozenset(("asyncio", "grpc", "socket", "threading", "subprocess"))

MEASURES_TIME = frozenset(
    (
        "compute_node/exec/context.py",  # when to yield the loop's turn
        "compute_node/exec/explain/instrument.py",  # EXPLAIN ANALYZE
        "compute_node/exec/explain/render.py",
        "compute_node/types/datetime_functions.py",  # clock_timestamp()
    )
)
"""Stages of compute that look at a clock themselves, and why."""

ONLY_IN_PYTHON = frozenset(
    (
        *("write_varint", "is_free", "next_prefix", "pack_tid", "extent_of", "extent_first", "extent_pages"),
        *("count_of", "table", "elements", "keys", "pairs", "decimal_of"),
        *("is_leap", "month_length", "days_from_civil", "civil_from_days", "add_months"),
    )
)
"""Helpers of the specification; code that wants them imports them from there."""

HAS_COROUTINES = frozenset(("compute_node/access/memory_volume.py",))  # stands in for the volume, whose read is one
"""Files of synchronous stages that may define a coroutine."""


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text())


def sources(*folders: str) -> list[Path]:
    """Python files below these folders (or the files themselves), without generated ones."""
    found: list[Path] = []
    for folder in folders:
        path = ROOT / folder
        assert path.exists(), f"{folder} is gone: take it out of the lists above"
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [path for path in found if "_pb2" not in path.name]


def name_of(path: Path) -> str:
    """The path from the repository's root."""
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """``(module, whether at the top level)`` of each import that runs; those for type checkers alone are left out."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    top = {id(node) for node in tree(path).body}
    for node in ast.walk(tree(path)):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, id(node) in top


def roots(path: Path) -> set[str]:
    """The first parts of the imported modules' names."""
    return {module.split(".")[0] for module, _ in imports(path)}


@pytest.mark.parametrize("path", sources(*CORES), ids=name_of)
def test_cores_know_nothing_of_the_outside_world(path: Path) -> None:
    assert roots(path) & OUTSIDE_WORLD == set()


@pytest.mark.parametrize("path", sources(*CORES), ids=name_of)
def test_cores_do_not_import_the_glue_around_them(path: Path) -> None:
    glue = ("aurora.rpc.channels", "aurora.rpc.stream", "compute_node.volume.driver", "compute_node.volume.streams",
            "compute_node.volume.volume", "compute_node.hub", "storage_node.service", "storage_node.server",
            "storage_node.background", "aurora.rpc.storage_pb2_grpc")  # fmt: skip
    assert [module for module, _ in imports(path) if module in glue] == []


def test_every_part_of_compute_is_a_stage() -> None:
    parts = {path.stem for path in (ROOT / "compute_node").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {part for part in parts if part not in ("__init__", "__pycache__")} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_stages_below_it(stage: str) -> None:
    folder = ROOT / "compute_node" / stage
    below = STAGES[: STAGES.index(stage) + 1]
    offenders = []
    for path in sources(f"compute_node/{stage}" if folder.is_dir() else f"compute_node/{stage}.py"):
        for node in ast.walk(tree(path)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module if node.module != "compute_node" else f"compute_node.{node.names[0].name}"]
            for module in modules:
                parts = module.split(".")
                if parts[0] == "compute_node" and len(parts) > 1 and parts[1] not in below:
                    offenders.append(f"{name_of(path)}:{node.lineno}: {module}")
    assert offenders == []


def test_the_catalog_view_answers_for_types_functions_and_operators() -> None:
    names = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "compute_node").rglob("*.py")
        if "types" not in path.relative_to(ROOT).parts and "REGISTRY" in path.read_text()
    }
    assert names == DECLARATIONS


def test_the_library_imports_no_program() -> None:
    """``aurora``'s shared part knows neither the cluster's programs nor the simulator."""
    for path in sources("aurora"):
        name = name_of(path)
        if name.startswith(("aurora/programs/", "aurora/sim/")):
            continue
        found = [m for m, top in imports(path) if m.startswith(("aurora.programs", "aurora.sim"))]
        assert found == [] or name == "aurora/__init__.py", name


@pytest.mark.parametrize("folder", SYNCHRONOUS)
def test_sql_code_waits_through_the_hub_alone(folder: str) -> None:
    offenders = {name_of(path): roots(path) & WAITING for path in sources(folder) if roots(path) & WAITING}
    assert offenders == {}
    coroutines = {
        name_of(path)
        for path in sources(folder)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    }
    assert coroutines <= HAS_COROUTINES


@pytest.mark.parametrize("folder", SYNCHRONOUS)
def test_stages_look_at_no_clock_of_their_own(folder: str) -> None:
    offenders = [name_of(path) for path in sources(folder) if "time" in roots(path)]
    assert [name for name in offenders if name not in MEASURES_TIME] == []


def test_compute_and_storage_do_not_import_each_other() -> None:
    for one, other in (("compute_node", "storage_node"), ("storage_node", "compute_node")):
        assert [name_of(path) for path in sources(one) if other in roots(path)] == []


def test_aurora_imports_neither_but_to_embed_and_to_simulate() -> None:
    """The embedded cluster imports both programs when it starts, the simulator their cores; nothing imports these."""
    for path in sources("aurora"):
        name = name_of(path)
        found = [(m, top) for m, top in imports(path) if m.split(".")[0] in ("compute_node", "storage_node")]
        if name == "aurora/programs/embedded.py":
            assert not any(top for _, top in found), "embedding must not load the programs before it is used"
        elif not name.startswith("aurora/sim/"):
            assert found == [], name
        if not name.startswith("aurora/sim/"):
            assert [m for m, _ in imports(path) if m.startswith("aurora.sim")] == [], name
            assert [m for m, top in imports(path) if top and m == "aurora.programs.embedded"] == [], name


def test_the_simulator_runs_cores_only() -> None:
    allowed = {
        "compute_node.volume.fleet",
        "compute_node.volume.monitor",
        "compute_node.volume.flusher",
        "compute_node.volume.handshake",
        "compute_node.volume.messages",
        "compute_node.volume.recovery",
        "compute_node.volume.writer_core",
        "storage_node.backup_objects",  # perform: what a store effect does
        "storage_node.config",
        "storage_node.effects",
        "storage_node.node",
    }
    compute = {
        "compute_node.access.extents",
        "compute_node.access.hash",
        "compute_node.access.hash.pages",
        "compute_node.access.index_access",
        "compute_node.access.memory_volume",
        "compute_node.access.methods",
        "compute_node.access.storage",
        "compute_node.access.toast",
        "compute_node.access.auto_vacuum",
        "compute_node.access.vacuum",
        "compute_node.access.vacuum_truncate",
        "compute_node.hub",  # its loop is the simulator's
        "compute_node.relations.descriptors",
        "compute_node.relations.schema",
        "compute_node.relations.storage_types",
        "compute_node.txn.dependency",
        "compute_node.txn.locks",
    }
    readers = compute | {
        "compute_node.replica.feed",
        "compute_node.replica.keep",
        "compute_node.replica.known",
        "compute_node.replica.messages",
        "compute_node.replica.replica",  # its loop, not its tasks
        "compute_node.replica.topology",
        "compute_node.replica.volume",  # for types
        "compute_node.txn.horizon",
        "compute_node.volume.doubt",
    }
    for folder, known in (("aurora/sim/compute", compute), ("aurora/sim/readers", readers)):
        found = {m for path in sources(folder) for m, _ in imports(path)}
        assert {module for module in found if module.startswith(("compute_node", "storage_node"))} <= known, folder
    half = {*sources("aurora/sim/compute"), *sources("aurora/sim/readers")}
    used = {module for path in sources("aurora/sim") if path not in half for module, _ in imports(path)}
    assert {module for module in used if module.startswith(("compute_node", "storage_node"))} <= allowed


def test_the_simulator_draws_from_its_seed_alone() -> None:
    for path in sources("aurora/sim"):
        around = {"time"} if name_of(path) == "aurora/sim/__main__.py" else set()  # it says how fast the seeds run
        assert roots(path) & (OUTSIDE_WORLD - {"random"}) == around, name_of(path)
        drawn = re.findall(r"\brandom\.(\w+)", path.read_text())
        assert set(drawn) <= {"Random"}, name_of(path)


def test_fault_points_have_a_name_each() -> None:
    names = [name for name, _ in points()]
    assert names and sorted(set(names)) == sorted(names)
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)] == []


def test_only_the_simulator_installs_fault_points() -> None:
    users = [
        name_of(path) for path in sources(*PROGRAMS) if re.search(r"\bbuggify import .*installed", path.read_text())
    ]
    assert users and all(name.startswith("aurora/sim/") for name in users)


@pytest.mark.parametrize("program", [*PROGRAMS, "tests", "benchmarks"])
def test_no_file_is_too_long(program: str) -> None:
    long = {name_of(path): len(path.read_text().splitlines()) for path in sources(program)}
    assert {name: lines for name, lines in long.items() if lines > LINES_MAX} == {}


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_error_is_swallowed(program: str) -> None:
    """No bare ``except``, and no handler of everything that does nothing."""
    found = []
    for path in sources(program):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            everything = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            idle = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
            if node.type is None or (everything and idle):
                found.append(f"{name_of(path)}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_invariants_stay_on(program: str) -> None:
    """``assert`` vanishes under ``-O``; what must hold raises ``InvariantViolation``."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in sources(program)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_module_says_what_it_is(program: str) -> None:
    assert [name_of(path) for path in sources(program) if not ast.get_docstring(tree(path))] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_left_to_do(program: str) -> None:
    pattern = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
    assert [name_of(path) for path in sources(program) if pattern.search(path.read_text())] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_a_stub(program: str) -> None:
    """``NotImplementedError`` only where a base class leaves a method to its subclasses."""
    found = []
    for path in sources(program):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc):
                found.append(name_of(path))
    assert set(found) <= {
        "aurora/quorum.py",
        "aurora/rpc/http2.py",
        "aurora/sim/compute/faults.py",
        "aurora/sim/compute/workloads.py",
        "aurora/sim/faults.py",
        "aurora/sim/readers/faults.py",
        "aurora/sim/workloads.py",
        "compute_node/exec/nodes/base.py",
    }


# -- types at the borders

MAY_BE_ANYTHING = {
    "aurora/datum.py": "the one alias of a value of any SQL type",
    "aurora/documents.py": "the one alias of a JSON object",
    "aurora/kernels/python/regex.py": "tuples of many shapes, which their tags tell apart",
    "aurora/programs/pytest_plugin.py": "a connection of psycopg, which is not imported before it is wanted",
    "compute_node/exec/compile/compiler.py": "a handler takes the one class that it is registered for",
    "compute_node/exec/compile/unit.py": "the namespace of generated code",
    "compute_node/exec/nodes/base.py": "a node takes the one plan class that it is registered for",
    "compute_node/extensions/library.py": "further fields of the dataclass, which is made when the module is imported",
    "compute_node/hub.py": "a waiter hands on whatever who wakes it gives",
    "compute_node/relations/descriptors.py": "what later stages have worked out of a descriptor and keep with it",
    "compute_node/types/declare.py": "further fields of the dataclass, which is made when the module is imported",
    "compute_node/types/registry.py": "the namespace of inlined code",
    "compute_node/types/text.py": "further fields of the declared dataclass",
}
"""Files that may have a bare ``Any`` in what others see of them, and why. Everywhere else a value of any SQL type is a
``Datum``, JSON a ``JsonObject``, a parse node an ``ast.Node``, and the rest has a class or a protocol."""


def _says_any(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(
        isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(annotation)
    )


def _untyped(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Names of the public functions, fields and aliases in ``body`` whose annotation says ``Any``."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if any(_says_any(base) for base in node.bases):
                yield prefix + node.name
            yield from _untyped(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_") and not node.name.startswith("__"):
                continue
            given = node.args
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            if _says_any(node.returns) or any(each and _says_any(each.annotation) for each in arguments):
                yield prefix + node.name
            if node.name == "__init__":
                fields = (each for each in ast.walk(node) if isinstance(each, ast.AnnAssign))
                yield from _untyped([each for each in fields if isinstance(each.target, ast.Attribute)], prefix)
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            is_alias = isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"
            if not name.startswith("_") and _says_any(node.value if is_alias else node.annotation):
                yield prefix + name
        elif isinstance(node, ast.Assign) and not prefix and isinstance(node.targets[0], ast.Name):
            if (
                not node.targets[0].id.startswith("_")
                and isinstance(node.value, ast.Subscript)
                and _says_any(node.value)
            ):
                yield node.targets[0].id


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_others_see_has_a_type(program: str) -> None:
    """A module's public functions, fields and aliases say what they take and give."""
    found = {
        f"{name_of(path)}: {name}"
        for path in sources(program)
        if "_pb2" not in path.name and name_of(path) not in MAY_BE_ANYTHING
        for name in _untyped(tree(path).body)
    }
    assert found == set(), "Any says nothing: see MAY_BE_ANYTHING for what to write instead"


def test_what_may_be_anything_still_is() -> None:
    for name in MAY_BE_ANYTHING:
        assert list(_untyped(tree(ROOT / name).body)), f"{name} needs no exception any more"


# -- kernels: the compiled side and its specification


def _public(module: ModuleType) -> dict[str, Any]:
    """Classes and functions that the module itself defines."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", None) == module.__name__
        and (inspect.isclass(value) or callable(value))
        and not getattr(value, "_is_protocol", False)  # the type checker's alone
    }


def _is_error(value: Any) -> bool:
    """Error classes exist once, in the specification; both sides raise them."""
    return inspect.isclass(value) and issubclass(value, Exception)


def _sides(name: str) -> tuple[ModuleType, ModuleType]:
    native = pytest.importorskip(f"aurora.kernels.native.{name}", reason="the kernels are not compiled")
    return importlib.import_module(f"aurora.kernels.python.{name}"), native


@pytest.mark.parametrize("name", MODULES)
def test_each_kernel_is_written_twice(name: str) -> None:
    assert (ROOT / "aurora/kernels/python" / f"{name}.py").is_file()
    assert (ROOT / "aurora/kernels/native" / f"{name}.pyx").is_file()


def test_no_kernel_is_forgotten() -> None:
    for folder, pattern in (("python", "*.py"), ("native", "*.pyx")):
        names = {path.stem for path in (ROOT / "aurora/kernels" / folder).glob(pattern)} - {"__init__"}
        assert names == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_both_sides_have_the_same_names(name: str) -> None:
    specification, native = _sides(name)
    ours = {n for n, value in _public(specification).items() if n not in ONLY_IN_PYTHON and not _is_error(value)}
    assert {n for n in ours if not hasattr(native, n)} == set()
    compiled = {n for n, value in _public(native).items() if inspect.isroutine(value)}
    assert compiled - set(vars(specification)) == set()


@pytest.mark.parametrize("name", MODULES)
def test_both_sides_have_the_same_methods(name: str) -> None:
    specification, native = _sides(name)
    for class_name, ours in _public(specification).items():
        if not inspect.isclass(ours) or _is_error(ours):
            continue
        theirs = getattr(native, class_name)
        methods = {n for n in dir(ours) if not n.startswith("_") and callable(getattr(ours, n))}
        compiled = {n for n in dir(theirs) if not n.startswith("_") and callable(getattr(theirs, n))}
        assert methods - compiled == _inner(name, class_name), f"{class_name}: only in the specification"
        assert compiled - methods == set(), f"{class_name}: only compiled"


def _inner(name: str, class_name: str) -> set[str]:
    """Methods of the specification that only its own module's and its neighbours' code calls."""
    return {"spans", "value"} if (name, class_name) == ("tuples", "RowCodec") else set()


def test_what_callers_use_exists_on_both_sides() -> None:
    """Every ``kernel.name`` in the programs, whichever side ``AURORA_KERNELS`` chooses."""
    for path in sources(*PROGRAMS):
        aliases = {
            alias.asname or alias.name: alias.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom) and node.module == "aurora.kernels"
            for alias in node.names
            if alias.name in MODULES
        }
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                for side in _sides(aliases[node.value.id]):
                    assert hasattr(side, node.attr), f"{name_of(path)}:{node.lineno}: {side.__name__}.{node.attr}"


@pytest.mark.parametrize("path", sources("compute_node/session"), ids=name_of)
def test_the_session_is_in_one_order(path: Path) -> None:
    """No import after code, which would hide a circle, and no attribute that may or may not be there."""
    code = [node for node in tree(path).body if not isinstance(node, (ast.Import, ast.ImportFrom, ast.Expr, ast.If))]
    after = [node.lineno for node in tree(path).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not code or all(line < code[0].lineno for line in after)
    calls = [
        node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert "hasattr" not in calls
