"""Speed of what users do, beside the best that they would use or write instead."""
