"""The fault suite: each test says what it injected where."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import finished, fresh

__all__ = ["finished", "fresh"]

Injected = Callable[..., None]


@pytest.fixture
def injected(record_property: Callable[[str, object], None]) -> Injected:
    """Notes one line of the table: fault, where, times, outcome."""

    def note(fault: str, where: str, times: int, outcome: str) -> None:
        record_property("fault", (fault, where, times, outcome))

    return note


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
