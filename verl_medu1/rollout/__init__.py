"""Agent loops: how answers are sampled."""
