"""One rank of verl's Megatron engine on gloo: trains on fixed batches, optionally from a checkpoint.

usage: megatron_worker.py RANK WORLD PORT MODEL TP PP OUT [--load DIR] [--save DIR]; run by test_megatron_engine.py.
Writes OUT/rank<RANK>.pt: log-probabilities before training, and weights and Adam's state after step 4.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
import torch.distributed

STEPS, SAVED_STEP = 4, 2
LENGTHS = [5, 16, 9, 12, 7, 16, 3, 11]


def batch(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 100, (length,), generator=generator) for length in LENGTHS]


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("rank", "world", "port"):
        parser.add_argument(name, type=int)
    parser.add_argument("model")
    for name in ("tp", "pp"):
        parser.add_argument(name, type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--load")
    parser.add_argument("--save")
    a = parser.parse_args()
    torch.set_num_threads(1)

    import verl
    from tensordict import TensorDict
    from verl.trainer.config import CheckpointConfig
    from verl.utils import tensordict_utils as tu
    from verl.workers.config import HFModelConfig, McoreEngineConfig, McoreOptimizerConfig
    from verl.workers.engine import EngineRegistry
    from verl.workers.utils.losses import sft_loss

    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{a.port}", rank=a.rank, world_size=a.world
    )
    import verl.workers.engine.megatron.transformer_impl  # noqa: F401  (registers the engine)

    engine = EngineRegistry.new(
        model_type="language_model",
        backend="megatron",
        model_config=HFModelConfig(path=a.model),
        engine_config=McoreEngineConfig(
            tensor_model_parallel_size=a.tp,
            pipeline_model_parallel_size=a.pp,
            vanilla_mbridge=True,
            use_dynamic_bsz=False,
            micro_batch_size_per_gpu=2,
            infer_micro_batch_size_per_gpu=2,
            dtype="float32",
        ),
        optimizer_config=McoreOptimizerConfig(
            lr=1e-3,
            lr_decay_steps=10,
            lr_decay_style="linear",
            total_training_steps=10,
            weight_decay=0.1,
            clip_grad=1.0,
            use_checkpoint_opt_param_scheduler=True,  # as config/engine_on sets it
        ),
        checkpoint_config=CheckpointConfig(save_contents=["model", "optimizer", "extra"]),
    )
    engine.initialize()

    def nested(tensors: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(tensors, layout=torch.jagged)

    def data(seed: int) -> TensorDict:
        rows = TensorDict(
            {
                "input_ids": nested(batch(seed)),
                "position_ids": nested([torch.arange(n) for n in LENGTHS]),
                "loss_mask": nested([torch.ones(n) for n in LENGTHS]),
                "temperature": torch.ones(len(LENGTHS)),
            },
            batch_size=[len(LENGTHS)],
        )
        tu.assign_non_tensor(
            rows,
            use_dynamic_bsz=False,
            micro_batch_size_per_gpu=2,
            global_batch_size=len(LENGTHS),
            calculate_entropy=False,
        )
        return rows

    result: dict[str, object] = {}
    start = 0
    if a.load:
        engine.load_checkpoint(a.load)
        start = SAVED_STEP
    else:
        with engine.eval_mode():
            output = engine.infer_batch(data(0), loss_function=None)
        if engine.is_mp_src_rank_with_outputs():
            result["log_probs"] = [row.clone() for row in output["model_output"]["log_probs"].unbind()]
    for step in range(start, STEPS):
        with engine.train_mode():
            engine.train_batch(data(step), loss_function=partial(sft_loss, config=None))
            engine.lr_scheduler_step()
        if a.save and step + 1 == SAVED_STEP:
            engine.save_checkpoint(a.save, global_step=SAVED_STEP)

    result["weights"] = [p.detach().clone() for module in engine.module for p in module.parameters()]
    adams = [part.optimizer for part in getattr(engine.optimizer, "chained_optimizers", [engine.optimizer])]
    states = [adam.state[p] for adam in adams for group in adam.param_groups for p in group["params"]]
    result["adam"] = [{name: value.clone() for name, value in state.items()} for state in states]
    result["step_tensors"] = len({state["step"].data_ptr() for state in states})
    torch.save(result, a.out / f"rank{a.rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
