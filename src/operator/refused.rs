//! Operators that rule sets know and Portcullis does not run. Their rows exist so that a rule which uses one is
//! refused with a reason instead of "unknown operator".

use super::registry::{BuildError, Built, Resources};

fn refuse(message: &str, help: &str) -> Built {
    Err(BuildError::new(message).help(help))
}

pub(super) fn fuzzy_hash(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(
        "fuzzy hashes are not supported: ssdeep and its ports are under the GPL",
        "scan uploads behind the proxy, or match known content with `@pmFromFile`",
    )
}

pub(super) fn gsb_lookup(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(
        "Google retired the interface of Safe Browsing that this operator used; ModSecurity v3 does not run it either",
        "use `@rbl`, or `@pmFromFile` with a list that you keep up to date",
    )
}

pub(super) fn inspect_file(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(
        "rules do not run programs or Lua",
        "scan uploads behind the proxy, or write the check with other operators",
    )
}

pub(super) fn rsub(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(
        "rules do not rewrite bodies; ModSecurity v3 does not run this operator either",
        "block or log with `@rx`, and rewrite in the application",
    )
}

pub(super) fn validate_dtd(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(
        "XML is not validated against a document type definition",
        "require well-formed XML with `REQBODY_ERROR`, and select what must be there with `XML:/path`",
    )
}

pub(super) fn validate_hash(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(
        "links are not signed, so there is no hash to validate; ModSecurity v3 does not run this operator either",
        "remove the rule",
    )
}

pub(super) fn validate_schema(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(
        "XML and JSON are not validated against a schema",
        "require well-formed bodies with `REQBODY_ERROR`, and select what must be there with `XML:/path` or `ARGS:json.path`",
    )
}
