"""What explanations attribute: for each kind of answer, how well a masked one agrees with it."""

from pellucid_server.tasks.objectives.base import Objective, Subject, Target, Wanted

__all__ = ["Objective", "Subject", "Target", "Wanted"]
