"""What an object does, as far as Python shows it: a digest that changes when the code or the values behind it do.

A function is its code, its defaults, what it encloses, and the globals that it reads: other functions with all of
theirs, constants, classes with their methods. Code of installed packages counts by its name and version.
"""

import builtins
import copyreg
import dis
import functools
import hashlib
import importlib
import importlib.util
import inspect
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import joblib
import numpy as np

from skcnn._engine.signals import uninterrupted

__all__ = ["Behaviour", "behaviour_of", "without_number"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(...), type(NotImplemented))
_DESCRIPTORS = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
# A network built with these packages alone, and none of these names, is the same whenever it is built.
_PURE = {"builtins", "keras", "math", "numpy", "scikeras", "skcnn", "sklearn", "tensorflow", "typing"}
_PURE |= {"abc", "collections", "copy", "copyreg", "dataclasses", "enum", "functools", "itertools", "operator", "types"}
_IMPURE = {"applications", "environ", "eval", "exec", "fromfile", "genfromtxt", "getenv", "input", "load", "load_model"}
_IMPURE |= {"load_weights", "loads", "loadtxt", "memmap", "open", "random", "read_bytes", "read_file", "read_text"}
# Names that are made while the code runs are not seen in it.
_IMPURE |= {"__dict__", "__import__", "attrgetter", "getattr", "globals", "methodcaller", "vars"}
# Where objects that Python calls keep what they call.
_HELD: dict[type, tuple[str, ...]] = {
    types.MethodType: ("__func__", "__self__"),
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    functools.cached_property: ("func",),
    functools._lru_cache_wrapper: ("__wrapped__",),
}


@dataclass(frozen=True)
class Behaviour:
    """What tells an object from others.

    Attributes
    ----------
    key : str or None
        Digest of what it does; None if Python does not show it.
    certain : bool
        Whether nothing else decides what it does, such as files, the environment or random numbers, and no layer is
        shared by all that it builds.
    """

    key: str | None
    certain: bool


@uninterrupted
def behaviour_of(value: Any) -> Behaviour:
    """Return what an object does; the same for copies made by clone, pickle, notebooks and restarts."""
    walk = _Walk()
    try:
        walk.see(value)
        walk.see_modules()
    except Exception:  # whatever a user's object raises when it is looked at
        return Behaviour(None, certain=False)
    return Behaviour(walk.digest(), walk.certain)


class _Unknown(Exception):
    """What Python does not show, such as an open file."""


class _Walk:
    """A walk over all that an object refers to."""

    MOST: ClassVar[int] = 500_000  # values seen, beyond which an object counts as unknown

    def __init__(self) -> None:
        self.certain = True
        self._hash = hashlib.sha256()
        self._n_seen = 0
        # Functions, classes and modules, which copies share as they are.
        self._places: dict[int, tuple[int, Any]] = {}
        self._modules: dict[str, dict[str, Any]] = {}  # of the user's, what was not seen yet
        self._names = {""}  # that code may ask modules for
        self._above: dict[int, int] = {}  # containers around the present value

    def digest(self) -> str:
        """Return the digest of all that was seen."""
        return self._hash.hexdigest()[:32]

    def see(self, value: Any) -> None:
        """Add a value."""
        self._n_seen += 1
        if self._n_seen > self.MOST:
            raise _Unknown
        kind = type(value)
        if kind in _PLAIN:
            self._put(kind.__name__, repr(value))
            if kind is str:
                self._names.add(value)
        elif isinstance(value, (type, types.FunctionType, types.ModuleType)):
            if not self._is_again(value):
                self._definition(value)
        elif id(value) in self._above:
            self._put("within", str(len(self._above) - self._above[id(value)]))
        else:
            self._above[id(value)] = len(self._above)
            self._contents(value)
            del self._above[id(value)]

    def _definition(self, value: Any) -> None:
        if isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        else:
            self._module(value)

    def see_modules(self) -> None:
        """Add what the code seen so far may read in modules of the user's, whichever way it has got them."""
        while asked := [
            (module, name) for module in self._modules for name in self._names & self._modules[module].keys()
        ]:
            for module, name in sorted(asked):
                self._put(module, name)
                self.see(self._modules[module].pop(name))

    def _put(self, *words: str) -> None:
        for word in words:
            encoded = word.encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:" % len(encoded) + encoded)

    def _is_again(self, value: Any) -> bool:
        """Tell whether this was seen before; it is then referred to by its place."""
        place, _ = self._places.setdefault(id(value), (len(self._places), value))  # which keeps it, and its address
        self._put("again" if place < len(self._places) - 1 else "first", str(place))
        return place < len(self._places) - 1

    def _each(self, kind: str, values: Iterable[Any]) -> None:
        listed = list(values)
        self._put(kind, str(len(listed)))
        for value in listed:
            self.see(value)

    def _named(self, values: dict[str, Any]) -> None:
        """Add attributes or parameters, in any order."""
        for name in sorted(values, key=str):
            self._put(str(name))
            self.see(values[name])

    # Values -----------------------------------------------------------------------------------------------------

    def _contents(self, value: Any) -> None:
        kind = type(value)
        if kind in (tuple, list):
            self._each(kind.__name__, value)
        elif kind is dict:  # in its order, which a network may follow
            self._each("dict", [part for pair in value.items() for part in pair])
        elif kind in (set, frozenset):
            self._put(kind.__name__, *sorted(self._apart(one) for one in value))
        elif isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind != "O":
            self._put("array", str(joblib.hash(np.asarray(value))))
        elif kind is types.CodeType:
            self._code(value)
        elif kind in _HELD:
            self._each(kind.__name__, [getattr(value, name) for name in _HELD[kind]])
        elif isinstance(value, _DESCRIPTORS):
            self._builtin(value)
        elif hasattr(value, "get_params"):
            self._parameters(value)
        elif not self._of_keras(value):
            self._instance(value)

    def _apart(self, value: Any) -> str:
        """Return the digest of an element of a set, whose order is not that of another process."""
        found = behaviour_of(value)
        if found.key is None:
            raise _Unknown
        self.certain = self.certain and found.certain
        return found.key

    def _builtin(self, value: Any) -> None:
        owner = getattr(value, "__self__", None)
        self._put("builtin", value.__name__, str(getattr(value, "__module__", "")))
        self._outside(str(getattr(value, "__module__", None) or "builtins"), [value.__name__])
        if owner is not None and not isinstance(owner, types.ModuleType):
            self.see(owner)
        elif hasattr(value, "__objclass__"):
            self._put(value.__objclass__.__qualname__)

    def _parameters(self, value: Any) -> None:
        """Add an object of scikit-learn's kind: its parameters, and what else was set on it but by fitting."""
        self.see(type(value))
        parameters = value._identity() if hasattr(value, "_identity") else value.get_params(deep=False)
        others = {name: one for name, one in vars(value).items() if name not in parameters and not name.endswith("_")}
        self._named(parameters | others)

    def _of_keras(self, value: Any) -> bool:
        """Add a layer with its weights, or another object with a configuration; their pickles hold the time."""
        keras = sys.modules.get("keras")
        if keras is None:
            return False
        if isinstance(value, keras.Variable) or (hasattr(value, "__array__") and hasattr(value, "numpy")):
            self._put("array", str(joblib.hash(np.asarray(value))))
        elif callable(getattr(value, "get_config", None)):
            self.see(type(value))
            self.see(without_number(value.get_config()))
            self.certain = self.certain and not isinstance(value, keras.Layer)  # which every build would share
            for weight in value.weights if isinstance(value, keras.Layer) else ():
                self._put("weight", str(weight.trainable), str(joblib.hash(np.asarray(weight))))
        else:
            return False
        return True

    def _instance(self, value: Any) -> None:
        """Add any object, as pickle would take it apart."""
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            reduced = reduce(value) if reduce else value.__reduce_ex__(2)
        except Exception:
            if _is_installed(type(value).__module__) or not hasattr(value, "__dict__"):
                raise
            reduced = type(value), (), vars(value)
        self._put("object")
        if isinstance(reduced, str):
            self._put(str(getattr(value, "__module__", "")), reduced)
            return
        make, arguments, state, *contents = (*reduced, None, None, None)[:5]
        self.see(make)
        self._each("made of", arguments)
        for part in state if isinstance(state, tuple) else (state,):
            self._named(part) if isinstance(part, dict) else self.see(part)
        for iterator in contents:
            self._each("holds", iterator or ())

    # Code -------------------------------------------------------------------------------------------------------

    def _function(self, function: types.FunctionType) -> None:
        module, code = str(function.__module__), function.__code__
        installed = _is_installed_file(code.co_filename)
        self._put("function", function.__name__)
        if installed:
            self._put(module, function.__qualname__, _version(module))
            self._outside(module, [function.__name__])
        if not (installed and _is_installed(module) and _found(module, function.__qualname__) is function):
            # Also of the function that a package's decorator has made: what it decorates is enclosed in it.
            self.see(code)
            self.see(function.__defaults__)
            self.see(function.__kwdefaults__)
            self._named(vars(function))
            for cell in function.__closure__ or ():
                self._put("empty") if cell == types.CellType() else self.see(cell.cell_contents)
        if not installed:
            self._globals(function)

    def _code(self, code: types.CodeType) -> None:
        self._put("code", code.co_code.hex(), getattr(code, "co_exceptiontable", b"").hex())
        self._names.update(code.co_names)
        self._put(*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
        self._put(str((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)))
        self._each("constants", code.co_consts)

    def _globals(self, function: types.FunctionType) -> None:
        """Add the globals that the code reads, and the modules that it imports."""
        every = list(_with_inner(function.__code__))
        self._outside("builtins", {name for code in every for name in _names_in(code)})
        read = {one.argval for code in every for one in dis.get_instructions(code) if one.opname in _GLOBALS}
        values = function.__globals__
        for name in sorted(read):
            self._put(name)
            if name in values:
                self.see(values[name])
            elif not hasattr(builtins, name):
                self._put("missing")
        for name in sorted({name for code in every for name in _imports(code, values)}):
            self._imported(name)

    def _imported(self, name: str) -> None:
        self._put("import", name)
        if _is_installed(name):
            self._outside(name, ())
            self._put(_version(name))
            return
        try:
            module = importlib.import_module(name)  # as the function will
        except Exception:
            self.certain = False
            return
        self.see(module)

    def _module(self, module: types.ModuleType) -> None:
        """Add a module by its name; of a user's own, what is asked for is added later."""
        name = module.__name__
        self._put("module", name)
        if _is_installed(name):
            self._put(_version(name))
            self._outside(name, ())
        else:
            self._modules.setdefault(name, dict(vars(module)))

    def _class(self, kind: type) -> None:
        self._put("class", kind.__qualname__)
        if _is_installed(kind.__module__):
            self._put(kind.__module__, _version(kind.__module__))
            self._outside(kind.__module__, [kind.__name__])
            return
        self._each("bases", kind.__bases__)
        if type(kind) is not type:
            self.see(type(kind))
        self._named({name: one for name, one in vars(kind).items() if _is_behaviour(name, one)})

    def _outside(self, module: str, names: Iterable[str]) -> None:
        """Take note of what may read files, the environment or random numbers."""
        if module.partition(".")[0] not in _PURE or not _IMPURE.isdisjoint(names):
            self.certain = False


# What code refers to --------------------------------------------------------------------------------------------------


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield code and that of the functions, classes and comprehensions within."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _with_inner(one)


def _names_in(code: types.CodeType) -> Iterator[str]:
    """Yield names of globals and attributes, also those that are asked for by text, as by getattr."""
    yield from code.co_names
    yield from (one for one in code.co_consts if isinstance(one, str) and one.isidentifier())


def _imports(code: types.CodeType, values: dict[str, Any]) -> Iterator[str]:
    """Yield the full names of modules that code imports when it runs."""
    before: list[Any] = []
    for one in dis.get_instructions(code):
        if one.opname == "IMPORT_NAME":  # after the level, 0 unless relative, and the names to import
            level = before[-2] if len(before) > 1 and isinstance(before[-2], int) else 0
            package = values.get("__package__") or ""
            relative = level and package
            yield importlib.util.resolve_name("." * level + one.argval, package) if relative else one.argval
        before = [*before[-1:], one.argval]


def _is_behaviour(name: str, value: Any) -> bool:
    """Tell whether an attribute of a class is more than Python's own notes about it."""
    is_own = name.startswith("__") and name.endswith("__") and not isinstance(value, types.FunctionType)
    is_hook = isinstance(value, (property, staticmethod, classmethod))
    return (not is_own or is_hook) and not name.startswith("_abc_")


def _found(module: str, qualname: str) -> Any:
    """Return what a module has under a name, None if nothing."""
    value: Any = sys.modules.get(module)
    for name in qualname.split("."):
        value = inspect.getattr_static(value, name, None)
    return value


def _version(module: str) -> str:
    return str(getattr(sys.modules.get(module.partition(".")[0]), "__version__", ""))


@cache
def _installed_folders() -> tuple[str, ...]:
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = [*paths, site.getusersitepackages(), str(Path(__file__).parents[1])]  # the last is skcnn itself
    return tuple(f"{Path(folder).resolve()}/" for folder in folders)


@cache
def _is_installed_file(path: str) -> bool:
    """Tell whether a file belongs to Python, an installed package or skcnn, and is no code of the user's."""
    resolved = str(Path(path).resolve()) if path[:1] != "<" else path
    inside = resolved.startswith(_installed_folders()) or "site-packages" in resolved
    return inside or path.startswith("<frozen")


def _is_installed(module: str) -> bool:
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__"):
        return False
    if top in sys.stdlib_module_names or top in _PURE:
        return True
    loaded = sys.modules.get(module) or sys.modules.get(top)
    try:
        spec = getattr(loaded, "__spec__", None) or importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    places = [getattr(loaded, "__file__", None), getattr(spec, "origin", None)]
    return any(_is_installed_file(place) for place in places if place)


def without_number(value: Any) -> Any:
    """Return a configuration of Keras without the numbers that it gives its layers in the order of their making."""
    if isinstance(value, dict):
        return {
            key: one.rstrip("0123456789").removesuffix("_")
            if key == "name" and isinstance(one, str) and "_" in one
            else without_number(one)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_number(one) for one in value]
    return value
