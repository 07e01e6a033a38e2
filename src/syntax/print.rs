//! AST → SecLang text.
