"""How many files a worker may have open, and so how many connections."""

from __future__ import annotations

import logging
import resource

import msgspec

from quintette.conf import Settings

logger = logging.getLogger("quintette.server")

# What a worker has open besides connections: its own, and what the project's code opens.
RESERVE = 64
# Per thread: a database connection, a file that is being sent, a spooled body.
RESERVE_PER_THREAD = 4


def make_room(settings: Settings) -> Settings:
    """Raises this process's soft limit on open files as far as the settings need it and the hard
    one lets it. Where that is not enough for CONNECTIONS_MAX connections, fewer are accepted."""
    reserve = RESERVE + RESERVE_PER_THREAD * settings.thread_count()
    limit = _raise_limit(settings.connections_max + reserve)
    room = max(limit - reserve, limit // 2)
    if room >= settings.connections_max:
        return settings
    logger.warning(
        "%d files may be open: CONNECTIONS_MAX is %d instead of %d; raise the limit (ulimit -Hn)",
        limit,
        room,
        settings.connections_max,
    )
    return msgspec.structs.replace(settings, connections_max=room)


def _raise_limit(wanted: int) -> int:
    """The soft limit, at most what is wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    except (OSError, ValueError):  # macOS has a maximum of its own
        return soft
    return limit
