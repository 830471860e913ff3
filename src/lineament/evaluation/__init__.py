"""Protocols, trials and reports."""
