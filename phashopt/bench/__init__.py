"""Judging a search from outside: fresh seeds, images it never scored."""
