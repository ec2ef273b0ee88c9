"""Frames written by hand, and the cases made of them."""
