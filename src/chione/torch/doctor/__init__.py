"""The public `inspect`: measure, judge, and say what helps, as tried on a copy."""
