"""What this package uses of verl and others that is not public: start here when upgrading verl.

table.py         the list; page.py makes docs/verl-compat.md from it
look.py          checks that each entry still exists
overrides.py     checks that overridden methods still take the same parameters
fields.py        fields of verl's dataclasses, without importing them
versions.py      the versions this package is written for
import_hook.py   runs code around the first import of a module
config_folder.py finds verl's configuration files
grouped_puts.py  answers that are ready at the same time go into the queue together
log_probs.py     log-probabilities of a packed batch in one call
resampling.py    questions of a validation whose answers are alike are resampled once
te_libraries.py  Transformer Engine with its environment's libraries where the system has others
weight_socket.py a socket of its own for each run, through which vLLM gets new weights
"""
