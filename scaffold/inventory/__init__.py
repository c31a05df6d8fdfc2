"""What there is of a topology at one moment, for who has to answer for it."""
