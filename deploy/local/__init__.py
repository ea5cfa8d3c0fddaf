"""A real Kafka and a real mongod as plain processes on this machine, without Docker."""
