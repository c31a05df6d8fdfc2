"""What differs between what should be and what is, as a value."""
