"""What is summed over the cells of a group, and where it is found."""

N_TOTALS = 5
SCORE, RANK, EXPRESSION, DETECTED, OWN_P = range(N_TOTALS)
