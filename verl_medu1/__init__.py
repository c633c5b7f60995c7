"""verl-medu1: medical reasoning by reinforcement learning, an extension of verl 0.9.1."""

__version__ = "0.1.0"
