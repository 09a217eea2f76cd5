"""Recurrent: being built."""
