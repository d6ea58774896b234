"""How much is asked, from where, and what browsers are told: throttles, CORS, security fields."""

from quintette.traffic.cors import CORS
from quintette.traffic.headers import SecurityHeaders
from quintette.traffic.redis import Redis
from quintette.traffic.stores import Local
from quintette.traffic.throttle import Throttle, Unthrottled

__all__ = ["CORS", "Local", "Redis", "SecurityHeaders", "Throttle", "Unthrottled"]
