"""Writes down how each of Django's tests ended."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from typing import Any

# From best to worst: a test with subtests may end in several ways.
OUTCOMES = ("skipped", "passed", "failed")


class _Result(unittest.TextTestResult):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, str] = {}

    def _note(self, test: Any, outcome: str) -> None:
        name = test.id() if isinstance(test, unittest.TestCase) else str(test)
        before = self.outcomes.get(name, OUTCOMES[0])
        self.outcomes[name] = max(before, outcome, key=OUTCOMES.index)

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        super().addSuccess(test)
        self._note(test, "passed")

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self._note(test, "passed")

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self._note(test, "skipped")

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self._note(test, "failed")

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self._note(test, "failed")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self._note(test, "failed")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failed")


def install(path: Path) -> None:
    from django.test.runner import DiscoverRunner

    class Runner(unittest.TextTestRunner):
        resultclass = _Result

        def run(self, test: Any) -> Any:
            result: Any = super().run(test)
            path.write_text(json.dumps(result.outcomes))
            return result

    DiscoverRunner.test_runner = Runner
    DiscoverRunner.get_resultclass = lambda self: _Result  # type: ignore[method-assign]
