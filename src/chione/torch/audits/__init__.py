"""Was this the initialisation that was meant: roles, laws, findings and declarations."""
