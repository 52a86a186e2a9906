"""Digests of the code that scripts run: one changes with a real edit of that code and with nothing else."""

import ast
import hashlib
from pathlib import Path

import grimp

PACKAGE = "defectbench"
LIBRARY = Path(__file__).resolve().parents[1]


class CodeDigests:
    """Digests of scripts with the library modules that they import; each module is read once."""

    def __init__(self) -> None:
        """Read the import graph of the library that this module is part of."""
        self._graph = grimp.build_graph(PACKAGE, cache_dir=None)
        self._files: dict[str, bytes] = {}

    def of(self, script: Path, within: str | tuple[str, ...] = PACKAGE) -> str:
        """Digest (16 hex digits) of ``script`` and all library modules in ``within`` that it imports, directly or not.

        Comments, docstrings and layout do not count. Imports inside functions are found; names built at run time
        (``importlib``) are not, so the library has none.
        """
        digest = hashlib.sha256(_without_docstrings(script.read_text(encoding="utf-8")).encode())
        for module in sorted(module for module in self.modules(script) if module.startswith(within)):
            digest.update(module.encode() + b"\0" + self._code(module) + b"\0")
        return digest.hexdigest()[:16]

    def modules(self, script: Path) -> set[str]:
        """Names of the library modules that ``script`` imports, directly or not, and of the packages above them."""
        closure: set[str] = set()
        for module in self._imported(script):
            closure |= {module} | self._graph.find_upstream_modules(module)
        # Importing a.b.c runs the code of a and a.b too; grimp does not list them.
        for module in list(closure):
            parts = module.split(".")
            closure |= {".".join(parts[:n]) for n in range(1, len(parts))}
        return closure

    def _imported(self, script: Path) -> set[str]:
        names: set[str] = set()
        for node in ast.walk(ast.parse(script.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        return names & self._graph.modules

    def _code(self, module: str) -> bytes:
        if module not in self._files:
            stem = LIBRARY.joinpath(*module.split("."))
            path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
            self._files[module] = _without_docstrings(path.read_text(encoding="utf-8")).encode()
        return self._files[module]


def _without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
