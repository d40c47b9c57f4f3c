"""What is there: the basins of a landscape, the tokens that settle in them, maps and looks. Nothing is changed."""
