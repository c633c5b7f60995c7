"""Agent loops: how answers are sampled.

single_turn.py  one turn, each answer with a sampling seed of its own
"""
