"""What is measured about chione; ``python -m benchmarks`` prints how fast it is."""
