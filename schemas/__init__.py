"""What lmac writes and reads: tables, records of a run, configurations. Imports nothing of the pipeline."""
