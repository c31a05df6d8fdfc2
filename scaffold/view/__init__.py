"""Results for a person, a program and a CI."""
