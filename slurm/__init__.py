"""Slurm scripts, installed as package data."""
