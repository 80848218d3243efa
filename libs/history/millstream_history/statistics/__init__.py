"""How many jobs were submitted, ended and waited in each minute and hour, counted as their transitions are stored."""
