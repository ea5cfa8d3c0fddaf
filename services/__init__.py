"""Three services that meet only through facts on Kafka."""
