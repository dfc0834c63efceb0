"""Command line, engines, units and receipts: everything that knows about files, processes and clocks."""
