"""From text to tree: sources and spans, the syntax tree, the parser. Pure: no torch, no input or output."""
