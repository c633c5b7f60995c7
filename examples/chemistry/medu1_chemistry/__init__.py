"""Balancing chemical equations as a domain of verl-medu1."""
