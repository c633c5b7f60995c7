"""Generated clinical calculations: formulas by field, the notes that state their inputs, and worked answers."""
