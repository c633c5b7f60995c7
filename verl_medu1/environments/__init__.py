"""Whom a model talks to in several turns.

environment.py   what an environment is, and where it comes from
search.py        documents, found by the model's own queries
gold_evidence.py  the documents that answer a question, as its row names them
searcher.py      documents that the model finds and selects for a reader, who answers
reader.py        what a reader is
readers.py       where readers come from
endpoint_reader.py  a model at an endpoint as reader
rule_reader.py   the reader of generated documents
consultation.py  a patient, who says what is asked for
patients.py      what a patient is, and one with a table of findings
endpoint_patient.py  one for whom a language model speaks
examinations.py  examinations with prices, whose results are shown when they are ordered
must_ask.py      diagnoses of which something must be asked
naming.py        names that a patient must not say, found in a text
"""
