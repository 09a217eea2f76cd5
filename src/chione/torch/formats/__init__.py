"""Number formats: what of a model's numbers float16, bfloat16 and float8 can hold."""
