"""The published package's surgeon, part by part: ``energylang.surgeon`` puts them together."""
