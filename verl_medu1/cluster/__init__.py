"""Jobs on a Slurm cluster: written, submitted, and checked on their nodes.

site.py         a site file: account, nodes, container, network, and a sentence for each mistake
job.py          what a recipe asks of a site, and the job file
submission.py   sbatch, squeue and scontrol
node_checks.py  whether all nodes have what a run needs, the bad one named
preflight.py    the command that collects facts on each node and judges them on the first
ray_start.py    the options of `ray start` for a configuration
ray_watch.py    waits until all nodes have joined Ray, then watches for a lost one
"""
