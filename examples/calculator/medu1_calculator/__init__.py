"""A calculator that a model may use before it answers, as an environment of verl-medu1."""
