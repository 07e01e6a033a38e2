//! SecLang: ModSecurity's and Coraza's rule language.
