"""A thousand random plain networks: what theory says before, and what training shows after."""
