"""One rank of a recipe at its true size, built by verl and Megatron on a machine without a GPU, and one update of it.

rehearsal.py      builds the rank, makes the update, and says what it took
require.py        what can be rehearsed
world.py          a rank of a world of any size, without the others
engine.py         verl's engine of a recipe, as verl's worker configures it, without weights
model_folder.py   config.json and tokenizer of a model, from its dimensions
layers.py         stand-ins for Transformer Engine's kernels
experts.py        stand-ins for the choice of experts
batch.py          the longest rows, as verl's trainer gives them
bytes.py          tensors without memory, and the bytes they would take
collectives.py    collectives, counted and answered at once
render.py         the rehearsal as tables and JSON
"""
