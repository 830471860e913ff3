"""Values, the error tree and array checks that every other package uses. Imports NumPy only."""
