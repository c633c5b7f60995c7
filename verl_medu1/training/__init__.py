"""What verl calls in a training step.

trainer.py          verl's V1 trainers with components, progress and mixture
reward_manager.py   a rollout's tokens -> reward and components
gdpo.py             advantages with each component normalised by itself
mixture_sampler.py  which rows make up a batch
batch_order.py      answers in the order of their questions
metrics.py          what is logged of components and shaping
log_prob_record.py  log-probabilities beside each checkpoint, for the export
sft_trainer.py      verl's SFT trainer with that record
"""
