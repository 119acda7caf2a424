"""The read road: which lists, which codes, which candidates, which hits. Start at pipeline.py."""
