"""A look at a deployment from outside: is everything there, does it fit, and is anything asking for trouble?"""

from backhaul.wiring.doctor.examination import Examination, examine

__all__ = ["Examination", "examine"]
