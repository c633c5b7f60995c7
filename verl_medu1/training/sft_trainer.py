"""verl's SFT trainer, with corrected model descriptions and a log-prob record in its checkpoints."""

from pathlib import Path
from typing import override

import torch.distributed
from omegaconf import DictConfig
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils.distributed import destroy_global_process_group, initialize_global_process_group

from verl_medu1.models.folder import correct_description
from verl_medu1.run_folder.checkpoints import model_folders, step_folder
from verl_medu1.training.log_prob_record import precision, rows_of_text, write


class MedU1SFTTrainer(SFTTrainer):
    """verl's SFT trainer, with a log-prob record in each checkpoint."""

    @override
    def _build_ckpt_handler(self) -> None:
        super()._build_ckpt_handler()
        save = self.ckpt_handler.save_checkpoint

        def save_with_record(step: int) -> None:
            folder = step_folder(self.config.trainer.default_local_dir, step)
            # First: once verl has saved its part, it counts the checkpoint as complete.
            self._write_record(folder)
            save(step)
            if self.rank == 0:
                for model in model_folders(folder):
                    correct_description(model)
            torch.distributed.barrier()

        self.ckpt_handler.save_checkpoint = save_with_record

    def _write_record(self, folder: Path) -> None:
        processor = self.model_config.processor
        tokens, rows = rows_of_text(self.model_config.tokenizer, processor, torch.distributed.get_world_size())
        # Each process calls its own engine, so data-parallel replicas compute the same rows.
        output = self.training_client.infer_batch(rows)
        if output is not None and self.engine.get_data_parallel_rank() == 0:
            log_probs = output["log_probs"].unbind()[0].tolist()[: len(tokens) - 1]
            dtype = precision(self.config.engine.strategy, self.config.engine)
            write(folder, tokens, log_probs, dtype, processor is not None)


def run_sft(config: DictConfig) -> None:
    """Train as verl's `run_sft` does."""
    initialize_global_process_group()
    MedU1SFTTrainer(config=config).fit()
    destroy_global_process_group()
