"""A CLAP small enough to ship, trained from scratch on mixtures of known sources and captions of them."""
