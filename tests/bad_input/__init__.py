"""Bad input of every kind, by seed: a corpus that runs are held against, and a fuzzer of decoders and readers."""
