"""What models talk to in several turns (rollout/environment.py has the interface, and their names).

search.py        documents, found by the model's own queries
consultation.py  a patient, who says what is asked for
"""
