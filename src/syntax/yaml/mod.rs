//! Native YAML rules, lowered to the same AST as SecLang.
