"""Guards that keep one failure from becoming many; knows no message and no bus."""

from mynah_resilience.breaker import BreakerState, BreakerStatus, CircuitBreaker
from mynah_resilience.confinement import OneThread
from mynah_resilience.errors import CircuitOpen, NoThread, ResilienceError, WrongThread
from mynah_resilience.events import Event, EventBus
from mynah_resilience.file_cache import FileCache
from mynah_resilience.limiter import RateLimiter
from mynah_resilience.loops import LoopStatus, Stopwatch, loop_status
from mynah_resilience.messages import AgentMessage, AgentRole, MessageBus, get_message_bus
from mynah_resilience.retry import RetryPolicy
from mynah_resilience.stalls import StallProbe
from mynah_resilience.trend import LatencyTrend, Outlook
from mynah_resilience.ttl_cache import TtlCache

__all__ = [
    "AgentMessage",
    "AgentRole",
    "BreakerState",
    "BreakerStatus",
    "CircuitBreaker",
    "CircuitOpen",
    "Event",
    "EventBus",
    "FileCache",
    "LatencyTrend",
    "LoopStatus",
    "MessageBus",
    "NoThread",
    "OneThread",
    "Outlook",
    "RateLimiter",
    "ResilienceError",
    "RetryPolicy",
    "StallProbe",
    "Stopwatch",
    "TtlCache",
    "WrongThread",
    "get_message_bus",
    "loop_status",
]
