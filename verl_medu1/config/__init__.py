"""Hydra configurations: pkg://verl_medu1.config."""
