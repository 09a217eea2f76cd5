"""Sweeps: many small trainings, for whether networks train where theory says they do."""
