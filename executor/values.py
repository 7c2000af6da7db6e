"""Frozen dataclasses at a tenth of their cost; everything that a stage imports takes `dataclass` from here.

The standard library writes and compiles six methods for each class and imports `inspect`, `ast` and more for it: 18 ms
of CPU in every stage, and 37 ms more in `config`. Classes made here share their methods. For everybody else they are
dataclasses: the type checker sees the standard library's, and its functions work on them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
    from typing import Any

__all__ = [
    "MISSING",
    "Field",
    "asdict",
    "dataclass",
    "field",
    "fields",
    "is_dataclass",
    "replace",
]

if not TYPE_CHECKING:
    MISSING = type("Missing", (), {"__repr__": lambda _: "MISSING"})()

    class Field:
        """What is known of one field."""

        def __init__(self, default: Any, default_factory: Any, metadata: Mapping[str, Any]) -> None:
            self.name = ""
            self.default = default
            self.default_factory = default_factory
            self.metadata = metadata

        def preset(self) -> Any:
            """Return what the field is when nobody gives it; MISSING where somebody must."""
            return self.default if self.default_factory is MISSING else self.default_factory()

    def field(*, default: Any = MISSING, default_factory: Any = MISSING, metadata: Any = None) -> Field:
        """Declare a field that has more to it than a type and a default."""
        return Field(default, default_factory, metadata or {})

    def dataclass(*, frozen: bool, kw_only: bool = False) -> Callable[[type], type]:
        """Make a class a frozen dataclass."""
        if not frozen:
            raise TypeError("values are frozen; a class that changes writes its own __init__")

        def make(cls: type) -> type:
            own = {}
            # A class has its own annotations or none: values do not inherit from each other.
            for name in cls.__annotations__:
                declared = cls.__dict__.get(name, MISSING)
                one = declared if isinstance(declared, Field) else Field(declared, MISSING, {})
                one.name = name
                own[name] = one
                if isinstance(declared, Field):
                    delattr(cls, name)
            cls.__value_fields__ = own
            cls.__value_kw_only__ = kw_only
            cls.__match_args__ = () if kw_only else tuple(own)
            for name, method in _METHODS.items():
                if name not in cls.__dict__:
                    setattr(cls, name, method)
            return cls

        return make

    def fields(value: Any) -> tuple[Field, ...]:
        """Return the fields of a value or of its class, in their order."""
        return tuple(value.__value_fields__.values())

    def is_dataclass(value: Any) -> bool:
        """Tell a value, or the class of one, from anything else."""
        return hasattr(value, "__value_fields__")

    def replace(value: Any, /, **changes: Any) -> Any:
        """Return a value that differs in some fields."""
        return type(value)(**(value.__dict__ | changes))

    def asdict(value: Any) -> dict[str, Any]:
        """Return a value's fields, and those of values in it, as `dict`."""
        return {name: asdict(one) if is_dataclass(one) else one for name, one in value.__dict__.items()}

    class _Value:
        """The methods that all share."""

        def __init__(self, *given: Any, **named: Any) -> None:
            own = self.__value_fields__
            if len(given) > (0 if self.__value_kw_only__ else len(own)):
                raise TypeError(f"{type(self).__name__} takes fewer positional arguments than {len(given)}")
            for name, value in zip(own, given, strict=False):
                if name in named:
                    raise TypeError(f"{type(self).__name__} got {name} twice")
                named[name] = value
            if unknown := named.keys() - own.keys():
                raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
            # In the order of the fields, so that equal values look equal.
            values = self.__dict__
            for name, one in own.items():
                values[name] = named[name] if name in named else one.preset()
                if values[name] is MISSING:
                    raise TypeError(f"{type(self).__name__} needs {name}")

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

        def __eq__(self, other: object) -> bool:
            return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

        def __hash__(self) -> int:
            return hash(tuple(self.__dict__.values()))

        def __setattr__(self, name: str, _: Any) -> None:
            raise _frozen(f"cannot assign to {name}")

        def __delattr__(self, name: str) -> None:
            raise _frozen(f"cannot delete {name}")

    def _frozen(words: str) -> Exception:
        from dataclasses import FrozenInstanceError

        return FrozenInstanceError(words)

    class _ForTheStandardLibrary:
        """`__dataclass_fields__`, by which `dataclasses.replace` and the others know a class; made when asked for."""

        def __get__(self, _: Any, cls: type) -> dict[str, Any]:
            import dataclasses

            def told(one: Field) -> Any:
                kept = {"default": one.default, "default_factory": one.default_factory}
                given = {key: value for key, value in kept.items() if value is not MISSING}
                return dataclasses.field(**given, metadata=one.metadata, kw_only=cls.__value_kw_only__)

            own = [(one.name, cls.__annotations__[one.name], told(one)) for one in fields(cls)]
            made = dataclasses.make_dataclass(cls.__name__, own, init=False, repr=False, eq=False, match_args=False)
            cls.__dataclass_fields__ = made.__dataclass_fields__
            return cls.__dataclass_fields__

    _METHODS = {name: method for name, method in vars(_Value).items() if callable(method)}
    _METHODS["__dataclass_fields__"] = _ForTheStandardLibrary()
