"""The HTML page of one or several runs.

page.py            the page, from templates/
curves.py          TensorBoard scalars -> figures
accuracy_plots.py  evaluations -> figures
memory_figure.py   planned memory beside what was used
excerpts.py        which samples are shown, and how they are cut
figure.py          what all figures share
"""
