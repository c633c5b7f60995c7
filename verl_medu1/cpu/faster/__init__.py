"""What makes a run faster on the CPU, and changes nothing that it computes.

shared_prompts.py  answers to a question share its prompt in FSDP2's packed batches
shared_attention.py  their attention
seeded_sampling.py vLLM draws the noise of seeded samples once

The processes of a run are forked from one that has imported what they need, instead of starting a Python for each:

forking.py         in the driver: starts the fork server, and lets Ray start its workers through it
fork_server.py     the process that forks; imports.py is what it imports
fork_client.py     what Ray and multiprocessing start instead of Python, a script
forked.py          what a forked process does first
"""
