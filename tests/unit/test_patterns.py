"""Patterns find what regular expressions find, and all of ours can be compiled."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

import pytest

import coordinator
from coordinator.patterns import Pattern

_PARTS = ("cli", "client", "net", "process", "security")


def test_a_pattern_is_compiled_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[tuple[str, int]] = []
    compiling = re.compile

    def compile_one(expression: str, flags: int) -> re.Pattern[str]:
        compiled.append((expression, flags))
        return compiling(expression, flags)

    monkeypatch.setattr(re, "compile", compile_one)
    pattern = Pattern("[a-c]+", re.IGNORECASE)
    assert compiled == []
    assert pattern.fullmatch("ABC")
    assert not pattern.fullmatch("abx")
    assert pattern.sub("-", "1a2") == "1-2"
    assert [found[0] for found in pattern.finditer("a1b")] == pattern.findall("a1b") == ["a", "b"]
    assert compiled == [("[a-c]+", re.IGNORECASE)]


def test_a_pattern_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="a pattern has no 'scanner'"):
        _ = Pattern("a").scanner


def _patterns() -> dict[str, Pattern]:
    modules = [
        import_module(f"coordinator.{found.name}")
        for found in pkgutil.iter_modules(coordinator.__path__)
        if not found.ispkg and found.name != "__main__"
    ]
    for part in _PARTS:
        package = import_module(f"coordinator.{part}")
        modules += [
            import_module(f"{package.__name__}.{found.name}")
            for found in pkgutil.iter_modules(package.__path__)
            if found.name != "__main__"
        ]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Pattern)
    }


def test_every_pattern_of_ours_can_be_compiled() -> None:
    found = _patterns()
    assert len(found) > 20
    for name, pattern in found.items():
        assert re.compile(pattern.expression, pattern.flags), name
