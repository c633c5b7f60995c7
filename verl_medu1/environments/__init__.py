"""Whom a model talks to in several turns.

environment.py   what an environment is, and where it comes from
search.py        documents, found by the model's own queries
consultation.py  a patient, who says what is asked for
"""
