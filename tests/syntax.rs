//! The front ends as their users see them: real rulesets, faulty text, arbitrary bytes.

#[path = "suite/syntax/convert.rs"]
mod convert;
#[path = "suite/syntax/evaluated.rs"]
mod evaluated;
#[path = "suite/syntax/faults.rs"]
mod faults;
#[path = "suite/syntax/forms.rs"]
mod forms;
#[path = "suite/syntax/hostile.rs"]
mod hostile;
#[path = "suite/syntax/includes.rs"]
mod includes;
#[path = "suite/syntax/printing.rs"]
mod printing;
#[path = "suite/syntax/rulesets.rs"]
mod rulesets;
#[path = "suite/syntax/support.rs"]
mod support;
#[path = "suite/syntax/yaml.rs"]
mod yaml;
