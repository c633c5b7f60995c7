"""From published questions to the parquet files that verl trains on.

sources/            one module for each benchmark that is read
generated/          the quickstart's questions; calculators/ clinical calculations without end
example.py          a question before it becomes a row
schema.py           the columns of a row
prompts.py          question, options, instruction and budget -> chat messages
budget.py           which length budget a row gets
mixture.py          several sources as one training and one test file
folds.py            which rows are a benchmark's test set
screening.py        rows that stand elsewhere are left out; duplicates.py finds them in benchmark.py's rows
records.py          records of a file or of the hub, each with its place
counts.py           what became of the records, step by step
demonstrations.py   worked answers for the warm-up
storage.py          all files or none
credentialed.py     rows under a data use agreement never leave the machine
tracking.py         progress on the terminal
"""
