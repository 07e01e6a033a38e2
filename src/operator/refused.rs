//! Operators that rule sets know and Portcullis does not run. Their rows exist so that a rule which uses one is
//! refused with a reason instead of "unknown operator".

use super::contract::{BuildError, Built, Resources};
use crate::dialect::{Refusal, Status};

fn refuse(status: Status) -> Built {
    let Status::Refused(refusal) = status else { return Err(BuildError::new("it is not supported")) };
    Err(BuildError::new(refusal.why).help(refusal.instead))
}

const fn refused(why: &'static str, instead: &'static str) -> Status {
    Status::Refused(Refusal { why, instead })
}

pub(super) const FUZZY_HASH: Status = refused(
    "fuzzy hashes are not supported: ssdeep and its maintained ports are under the GPL",
    "scan uploads behind the proxy, or match known content with `@pmFromFile`",
);

pub(super) fn fuzzy_hash(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(FUZZY_HASH)
}

pub(super) const GSB_LOOKUP: Status = refused(
    "Google retired the interface of Safe Browsing that this operator used; ModSecurity v3 does not run it either",
    "use `@rbl`, or `@pmFromFile` with a list that you keep up to date",
);

pub(super) fn gsb_lookup(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(GSB_LOOKUP)
}

pub(super) const INSPECT_FILE: Status = refused(
    "rules do not run programs or Lua",
    "scan uploads behind the proxy, or write the check with other operators",
);

pub(super) fn inspect_file(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(INSPECT_FILE)
}

pub(super) const RSUB: Status = refused(
    "rules do not rewrite bodies; ModSecurity v3 does not run this operator either",
    "block or log with `@rx`, and rewrite in the application",
);

pub(super) fn rsub(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(RSUB)
}

pub(super) const VALIDATE_DTD: Status = refused(
    "XML is not validated against a document type definition",
    "require well-formed XML with `REQBODY_ERROR`, and select what must be there with `XML:/path`",
);

pub(super) fn validate_dtd(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(VALIDATE_DTD)
}

pub(super) const VALIDATE_HASH: Status = refused(
    "links are not signed, so there is no hash to validate; ModSecurity v3 does not run this operator either",
    "remove the rule",
);

pub(super) fn validate_hash(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(VALIDATE_HASH)
}

pub(super) const VALIDATE_SCHEMA: Status = refused(
    "XML and JSON are not validated against a schema",
    "require well-formed bodies with `REQBODY_ERROR`, and select what must be there with `XML:/path` or `ARGS:json.path`",
);

pub(super) fn validate_schema(_: Option<&str>, _: &dyn Resources) -> Built {
    refuse(VALIDATE_SCHEMA)
}
