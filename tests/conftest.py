"""Which tests run, and what they start with.

Thorough tests take minutes, and show more of what others show: ``make thorough`` runs them.
"""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    # A shell that starts the tests in the background lets them ignore Ctrl-C, and what they start
    # would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "thorough" in config.getoption("markexpr"):
        return
    for item in items:
        if item.get_closest_marker("thorough"):
            item.add_marker(pytest.mark.skip(reason="run by make thorough"))
