"""Whom a model talks to in several turns.

environment.py   what an environment is, and where it comes from
search.py        documents, found by the model's own queries
consultation.py  a patient, who says what is asked for
patients.py      what a patient is, and one with a table of findings
endpoint_patient.py  one for whom a language model speaks
naming.py        names that a patient must not say, found in a text
"""
