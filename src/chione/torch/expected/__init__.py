"""What theory expects at each row of a traced model."""
