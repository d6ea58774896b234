"""From permissions to the tests that the extension makes, one after the other. Import time only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from quintette import _quintette
from quintette.api import answer
from quintette.api.errors import RegistrationError
from quintette.api.guards import Guard, GuardedRoute
from quintette.auth.schemes import Public, Scheme

if TYPE_CHECKING:
    from quintette.auth.permissions import Permission

# Shared with binding/auth/auth_permission.c.
SOMEBODY, SAFE, SCOPES, ASK, PASS, USER = range(6)
ALLOW, DENY = -1, -2

Test = tuple[int, int, int, bool, Any]
"""What is tested, the numbers of the tests behind it when it holds and when not, whether it holds
for some objects only, and what it needs."""

_FORBIDDEN = answer.problem(403)


class Tests:
    """Built from the end, so that the next test has always a lower number."""

    def __init__(self) -> None:
        self.made: list[Test] = []

    def add(
        self, op: int, on_true: int, on_false: int, operand: Any = None, *, deferred: bool = False
    ) -> int:
        self.made.append((op, on_true, on_false, deferred, operand))
        return len(self.made) - 1

    @property
    def is_deferred(self) -> bool:
        return any(test[3] for test in self.made)


def guard_of(
    permission: Permission,
    route: GuardedRoute,
    defer: Callable[[Any], Any],
    unchecked: Callable[[Any], Any],
) -> _quintette.Guard | None:
    tests = Tests()
    first = permission.emit(tests, ALLOW, DENY, negated=False)
    if first == ALLOW:
        return None
    authenticator_of(route)
    if first == DENY:
        # A row of one test that never holds.
        tests.add(PASS, DENY, DENY)
    elif first != len(tests.made) - 1:
        tests.add(PASS, first, first)
    return _guard(tests, defer if tests.is_deferred else None, unchecked)


def guard_of_user(route: GuardedRoute, *, optional: bool) -> _quintette.Guard:
    authenticator_of(route)
    tests = Tests()
    tests.add(USER, ALLOW, ALLOW if optional else DENY)
    return _guard(tests)


def guard_of_auth(route: GuardedRoute) -> _quintette.Guard:
    authenticator_of(route)
    tests = Tests()
    tests.add(SCOPES, ALLOW, DENY, ())
    return _guard(tests)


def _guard(
    tests: Tests,
    defer: Callable[[Any], Any] | None = None,
    unchecked: Callable[[Any], Any] | None = None,
) -> _quintette.Guard:
    try:
        return _quintette.PermissionGuard(
            tuple(tests.made),
            forbidden=_FORBIDDEN,
            scopes_of=scopes_of,
            defer=defer,
            unchecked=unchecked if defer is not None else None,
        )
    except ValueError as error:
        raise RegistrationError(str(error)) from error


def authenticator_of(route: GuardedRoute) -> Guard:
    """The guard that says who asks; without one nobody could ever be somebody."""
    for guard in route.guards:
        if guard.kind == Scheme.kind and not isinstance(guard, Public):
            return guard
    raise RegistrationError(
        "permissions and CurrentUser need a guard that says who asks, such as SessionAuth()"
    )


def scopes_of(auth: Any) -> Collection[str]:
    """What was granted, of claims or of a key: ``scopes``, or OAuth's ``scope`` (RFC 8693, 4.2) and
    ``scp``. A text is split at spaces."""
    granted: Any = None
    for name in ("scopes", "scope", "scp"):
        granted = auth.get(name) if isinstance(auth, Mapping) else getattr(auth, name, None)
        if granted is not None:
            break
    if isinstance(granted, str):
        return frozenset(granted.split())
    if isinstance(granted, (list, tuple, set, frozenset)):
        return frozenset(item for item in granted if isinstance(item, str))
    return frozenset()
