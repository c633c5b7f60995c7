"""From published questions to the parquet files that verl trains on.

sources/            one module per benchmark
images/             the images of questions
generated/          the quickstart's questions; calculators/ any number of clinical calculations
example.py          a question before it becomes a row
schema.py           the columns of a row
prompts.py          question, options, instruction and budget -> chat messages
actions.py          what a model writes before it answers: a search, a question, an order
catalogue.py        examinations that may be ordered, with prices and results
budget.py           draws the length budget of a row
mixture.py          several sources -> one training and one test file
candidates.py       questions that may be written, and which of them are held out
selection.py        which questions to train on, by pass rate; selected_rows.py reads and writes them
families.py         what a mixture can be divided by: answer type, source or level
folds.py            which rows are a benchmark's test set
screening.py        drops duplicates and contaminated rows; duplicates.py finds them, benchmark.py reads benchmarks
corrections.py      corrects gold answers that are wrong
records.py          records of a file or from the hub, each with its place
counts.py           how many records each step kept or dropped
demonstrations.py   worked answers for the warm-up
storage.py          writes all files of a data set or none
credentialed.py     keeps rows under a data use agreement on this machine
tracking.py         progress bars in the terminal
"""
