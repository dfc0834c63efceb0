"""The explorer: a corpus in the browser, its documents, what was dropped, thresholds that move, marks."""
