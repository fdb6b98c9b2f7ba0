"""The plugin API as text: what plugins may derive from, are given and may import.

``python -m tests.plugins.api`` writes it anew, after a change that is meant; doc/plugins.rst tells the rule.
"""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
FILE = Path(__file__).parent / "api.txt"
PUBLIC = (
    "meteragent.batch:Batch,Position,Published,Refusal",
    "meteragent.discovery.base",
    "meteragent.errors",
    "meteragent.event",
    "meteragent.figures:Figure",
    "meteragent.middleware.base",
    "meteragent.notifications.base",
    "meteragent.notifications.traits.base",
    "meteragent.plugins.iteration:during",
    "meteragent.plugins.bind:Context",
    "meteragent.plugins.command:CommandPlugin",
    "meteragent.plugins.option:Option,Values",
    "meteragent.plugins.provider:provides",
    "meteragent.pollsters.base",
    "meteragent.providers.http:Answer,Client",
    "meteragent.publishers.base",
    "meteragent.sample:Sample,Metadata",
    "meteragent.storage.base",
    "meteragent.testing",
    "meteragent.testing.fakes",
    "meteragent.testing.pytest_plugin",
    "meteragent.testing.subject:Given",
)
"""Modules whose public names are API, or the names of a module that are."""
HEADING = "# What plugins rely on; written by python -m tests.plugins.api, and compared by a test.\n"


def text() -> str:
    """All of it, a line for each name, method, attribute and argument."""
    lines = [HEADING]
    for entry in PUBLIC:
        module, _, names = entry.partition(":")
        loaded = import_module(module)
        lines.append(f"\n{module}\n")
        for name in sorted(names.split(",") if names else _names(loaded)):
            lines += [f"    {line}\n" for line in _described(name, getattr(loaded, name))]
    lines += [f"{line}\n" for line in _given()]
    return "".join(lines)


def _names(module: ModuleType) -> Iterator[str]:
    """The public names that a module makes itself, or says that it has."""
    told = getattr(module, "__all__", None)
    if told is not None:
        yield from told
        return
    for name, value in vars(module).items():
        imported = isinstance(value, ModuleType) or getattr(value, "__module__", module.__name__) not in (
            module.__name__, "typing",
        )  # fmt: skip
        if not name.startswith("_") and not imported and _is_made_in(module, name):
            yield name


def _is_made_in(module: ModuleType, name: str) -> bool:
    source = inspect.getsource(module)
    return bool(re.search(rf"^(@.*\n)*(async )?(class|def) {name}\b|^{name}\b.*=", source, re.M))


def _described(name: str, value: Any) -> Iterator[str]:
    """A class with all that is public in it, a function with its arguments, a constant with its value."""
    if isinstance(value, type):
        bases = ", ".join(each.__name__ for each in value.__bases__ if each is not object)
        yield f"class {name}({bases})"
        yield from (f"    {line}" for line in _of_class(value))
    elif type(value).__module__.startswith("_pytest"):
        yield f"fixture {name}"
    elif inspect.isroutine(value):
        yield f"def {name}{_signature(value)}"
    else:
        yield f"{name} = {_value(value)}"


def _of_class(made: type) -> Iterator[str]:
    if issubclass(made, msgspec.Struct):
        for field in msgspec.structs.fields(made):
            yield f"{field.name}{_default(field)}"
    elif made.__init__ is not object.__init__ and "__init__" in vars(made):
        yield f"__init__{_signature(made.__init__)}"
    fields = set(getattr(made, "__struct_fields__", ()))
    for name in sorted(vars(made)):
        value = inspect.getattr_static(made, name)
        if name.startswith("_") or name in fields:
            continue
        if name in getattr(made, "_fields", ()):
            yield f"field {name}"
            continue
        if isinstance(value, classmethod | staticmethod):
            yield f"{type(value).__name__} {name}{_signature(value.__func__)}"
        elif isinstance(value, property):
            yield f"property {name}"
        elif inspect.isfunction(value):
            abstract = "abstract " if getattr(value, "__isabstractmethod__", False) else ""
            yield f"{abstract}def {name}{_signature(value)}"
        else:
            yield f"{name} = {_value(value)}"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f" = {_value(field.default)}"
    return " = …" if field.default_factory is not msgspec.NODEFAULT else ""


def _signature(function: Any) -> str:
    parts = []
    seen_star = False
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.KEYWORD_ONLY and not seen_star:
            parts.append("*")
            seen_star = True
        stars = STARS.get(each.kind, "")
        seen_star = seen_star or stars == "*"
        parts.append(f"{stars}{each.name}{'' if each.default is each.empty else f'={_value(each.default)}'}")
    return f"({', '.join(parts)})"


def _value(value: Any) -> str:
    """A value, without what is different in each process or release of Python."""
    return re.sub(r" at 0x[0-9a-f]+|mappingproxy", "", repr(value))


def _given() -> Iterator[str]:
    """What callbacks may name, the groups of entry points, and the arguments of constructors."""
    from meteragent import parameters
    from meteragent.plugins import catalog, command, contracts, provider

    yield "\narguments by name"
    for name in ("GIVEN", "GET_SAMPLES", "DISCOVER", "CONVERT", "PUBLISH"):
        yield f"    {name.lower()}: {', '.join(getattr(contracts, name))}"
    yield f"    run: {', '.join(command.RUN)}"
    yield f"    provider: {', '.join(provider.OFFERS)}"
    yield f"    meteragent.parameters, of drop-ins: {', '.join(parameters.__annotations__)}"
    yield "\ngroups of entry points"
    yield from (f"    {kind}: {group}" for kind, group in sorted(catalog.GROUPS.items()))


if __name__ == "__main__":
    FILE.write_text(text())
