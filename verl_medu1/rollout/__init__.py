"""Agent loops: how responses are sampled.

single_turn.py  one turn, each response with its own sampling seed

agent_loops.yaml names the classes for verl.
"""
