"""Search in a corpus of documents, for environments that a model talks to.

documents.py  a document, and corpora as they are published
words.py      what a text is found by
build.py      a corpus -> a folder with an index
index.py      opens such a folder and searches in it
contained.py  questions of a benchmark that stand in documents
retriever.py  what an environment searches with; the local index as one
remote.py     a search server
settings.py   the settings of a retriever, and the retriever that they describe
"""
