"""What a layout, a batch, a checkpoint and a precision must fulfil."""
