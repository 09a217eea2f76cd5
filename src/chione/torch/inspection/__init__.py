"""Measure a model and judge what was measured."""
