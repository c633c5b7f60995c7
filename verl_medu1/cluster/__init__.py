"""Jobs on a Slurm cluster: written, submitted, checked on their nodes, and looked at; and what a machine has installed.

site.py        a site file: account, nodes, container, network, and a sentence for each mistake
job.py         what a recipe asks of a site, and the job file
submission.py  sbatch, squeue and scontrol
facts.py       what a node has
agreement.py   whether all nodes have what a run needs, the bad one named
preflight.py   both from the command line, inside a job
attempts.py    what the attempts of a run have left in its folder
doctor.py      what is installed here, and the command that mends it
"""
