"""Agent loops: how responses are sampled.

single_turn.py  one turn, each response with its own sampling seed
"""
