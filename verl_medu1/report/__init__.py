"""The HTML page of one or several runs.

page.py            the page, from templates/
alarms.py          in which steps an alarm went off
curves.py          TensorBoard scalars -> figures
accuracy_plots.py  evaluations -> figures
memory_figure.py   planned memory and the measured peak
checklist_items.py how many answers have each item of their checklist, in the first and the last steps
excerpts.py        selects and shortens the samples that are shown
row_images.py      the images of the questions that are shown
figure.py          style and rendering of all figures
"""
