"""A handler's own environment variables: plain values, and references to secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra.inputs import references, texts

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(?:^|_)(KEY|TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
"""Words of a name that say that its value is a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """Environment variables that a program gives to a handler.

    `plain`: values that everybody who may read the function's configuration sees. `secrets`: references to values that a
    vault of the cloud keeps; the program and its state never hold the values themselves.
    """

    plain: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def checked_variables(
    variables: Mapping[str, pulumi.Input[str]],
    secrets: Mapping[str, pulumi.Input[str]],
    *,
    plain: bool,
    reserved: Iterable[str],
    reserved_names: Iterable[str] = (),
) -> Variables:
    """Return a handler's variables. `plain`: accept variables whose names sound like secrets. `reserved`: beginnings of the
    names that the cloud or peeklock sets. `reserved_names`: further ones, whole.

    Raises ConfigError for names that no environment has, that are reserved or given twice, and for a secret as a plain value.
    """
    _check_mapping("variables", variables, f"={variables!r}")
    _check_mapping("secrets", secrets, f" is a {type(secrets).__name__}")  # its value may be the secret itself
    for argument, names in (("variables", variables), ("secrets", secrets)):
        for name in names:
            _check_name(argument, name, tuple(reserved), tuple(reserved_names))
    if both := sorted(set(variables) & set(secrets)):
        raise ConfigError(f"{both[0]!r} is in variables= and in secrets=; keep the secret")
    if not plain:
        _check_plain(variables)
    return Variables(plain=texts("variables", variables), secrets=references("secrets", secrets))


def _check_mapping(argument: str, values: object, shown: str) -> None:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{argument}{shown}: use a mapping from names to values")


def _check_name(argument: str, name: object, reserved: tuple[str, ...], reserved_names: tuple[str, ...]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{argument}: {name!r} is no name of a variable; use letters, digits and underscores")
    if name.upper().startswith(("PEEKLOCK_", *reserved)) or name.upper() in reserved_names:
        raise ConfigError(f"{argument}: {name!r} is set by peeklock or by the platform; choose another name")


def _check_plain(variables: Iterable[str]) -> None:
    for name in variables:
        if word := _SECRET.search(name):
            raise ConfigError(
                f"variables: {name!r} sounds like a secret ({word[1].upper()}), and its value would be readable in the function's"
                f" configuration and in the stack's state; refer to it by secrets={{{name!r}: ...}}, or say plain=True"
            )
