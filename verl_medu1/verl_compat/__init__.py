"""What is taken from verl and others that is not public: the page to open for the next verl.

table.py        the list; page.py makes docs/verl-compat.md of it
look.py         is each entry still there; overrides.py whether overridden methods take the same parameters
fields.py       fields of verl's dataclasses, without importing them
versions.py     which versions this package is written for
import_hook.py  code around the first import of a module
hydra_source.py verl's configuration files for Hydra
"""
