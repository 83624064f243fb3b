"""Which unit of work runs next: pure data structures without threads, clock or devices."""

from pellucid_server.runtime.scheduling.entry import Taken
from pellucid_server.runtime.scheduling.policy import ALL, Classes, Policy, Priority
from pellucid_server.runtime.scheduling.scheduler import Scheduler

__all__ = ["ALL", "Classes", "Policy", "Priority", "Scheduler", "Taken"]
