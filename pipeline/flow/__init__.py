"""A run over many shards: plan, Ray tasks and actors, the loop; the only place that imports ray."""
