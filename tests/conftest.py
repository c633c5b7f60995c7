"""What holds for all tests."""

from hypothesis import settings

# How long an example takes says something about the machine and what else it does, and nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
