"""What people look at: the report, and what explores a corpus."""
