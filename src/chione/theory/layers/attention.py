"""Attention: being built."""
