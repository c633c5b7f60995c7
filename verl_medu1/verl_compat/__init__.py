"""What is taken from verl that is not public: the list (table.py), and whether it is still there.

`python -m verl_medu1.verl_compat CHECKOUT` looks for it in another verl.
"""
