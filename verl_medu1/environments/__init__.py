"""What models talk to in several turns; each is an entry point of the group medu1.environments.

search.py   documents, found by the model's own queries
"""
