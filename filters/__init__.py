"""Scores on text, images and pairs; the rule engine; recipes; word lists."""
