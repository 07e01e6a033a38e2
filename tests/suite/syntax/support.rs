//! What the tests of the front ends share.

use std::path::{Path, PathBuf};

use portcullis::source::SourceMap;
use portcullis::syntax::ast::Document;
use portcullis::syntax::diagnostic::Diagnostics;
use portcullis::syntax::seclang::{self, FileLoader};

/// What one load gave.
#[derive(Default)]
pub struct Parsed {
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
    pub document: Document,
}

impl Parsed {
    pub fn file(path: &Path) -> Self {
        let mut it = Self::default();
        let name = path.to_str().expect("the paths of the tests are UTF-8");
        seclang::parse_file(name, &FileLoader, &mut it.sources, &mut it.diagnostics, &mut it.document);
        it
    }

    pub fn text(text: &str) -> Self {
        let mut it = Self::default();
        seclang::parse_text(
            "test.conf",
            text,
            &FileLoader,
            &mut it.sources,
            &mut it.diagnostics,
            &mut it.document,
        );
        it
    }
}

/// The reference copy of CRS beside the checkout. It must be there.
pub fn crs() -> PathBuf {
    let from_environment = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    from_environment
        .into_iter()
        .chain(manifest.ancestors().map(|up| up.join("shared")))
        .map(|shared| shared.join("crs"))
        .find(|crs| crs.is_dir())
        .expect("the reference data stands in ../shared, or where PORTCULLIS_SHARED says")
}
