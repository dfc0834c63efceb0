"""The stages of the flow as pure functions over Arrow."""
