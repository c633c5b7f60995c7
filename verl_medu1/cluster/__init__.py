"""Writes, submits and checks jobs on a Slurm cluster.

site.py         a site file: account, nodes, container, network, and a sentence for each mistake
job.py          what a recipe needs from a site, and the job file
submission.py   sbatch, squeue and scontrol
pipeline.py     a job for each stage of a pipeline
node_checks.py  checks that all nodes have what a run needs, and names the bad one
preflight.py    the command that collects facts on each node and checks them on the first node
ray_start.py    the options with which a configuration has Ray started on a node
ray_node.py     starts Ray on a node, and what forks its workers
ray_watch.py    waits until all nodes have joined Ray, then watches for a lost one
"""
