"""Arrow schemas, receipts, the manifest, reason codes and errors: what every other room agrees on."""
