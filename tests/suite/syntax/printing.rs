//! What is printed reads as the same tree.

use portcullis::source::{SourceMap, Span, Spanned};
use portcullis::syntax::ast::{
    Action, ActionStatement, Directive, Document, Operator, Rule, Selector, Statement, Target,
};
use portcullis::syntax::print::print;
use portcullis::syntax::seclang::DIRECTIVES;
use proptest::prelude::*;

use crate::support::{Parsed, crs, rule_files, without_spans};

#[test]
fn crs_survives() {
    let Some(crs) = crs() else { return };
    for file in rule_files(&crs) {
        let first = Parsed::file(&file).document;
        let printed = print(&first);
        let second = Parsed::sound(&printed).document;
        assert_eq!(without_spans(&first), without_spans(&second), "{}", file.display());
        assert_eq!(printed, print(&second), "{}", file.display());
    }
}

#[test]
fn a_rule_looks_like_this() {
    let text = r#"SecRule "ARGS:'/a b/'|XML:/*" '!@rx "x"' "id:1,msg:'a, b',t:none,ctl:ruleEngine=Off""#;
    insta::assert_snapshot!(print(&Parsed::sound(text).document));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn generated_trees_survive(statements in proptest::collection::vec(statement(), 0..4)) {
        let first = Document { statements, ..Document::default() };
        let printed = print(&first);
        let parsed = Parsed::text(&printed);
        let complaints: Vec<_> = parsed.diagnostics.iter().collect();
        prop_assert!(complaints.is_empty(), "{}\n{:?}", printed, complaints);
        prop_assert_eq!(without_spans(&first), without_spans(&parsed.document), "{}", printed);
    }
}

fn nowhere() -> Span {
    Span::new(SourceMap::new().add("", ""), 0, 0)
}

fn at<T>(node: T) -> Spanned<T> {
    Spanned::new(node, nowhere())
}

/// Text that SecLang can write in every place: no backslash that would take a quote with it.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9é漢]{1,4}",
        proptest::sample::select(vec![
            " ", "  ", ",", "|", ":", "/", "'", "\"", "%{tx.a}", "=", ";", "#", "`", "@", "!", "\\d", "\\\\",
            "[", "]", "(", ")", "\u{a0}",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z][A-Za-z0-9_]{0,8}"
}

fn target() -> impl Strategy<Value = Target> {
    let key = text().prop_filter("would be a regular expression", |key| {
        !(key.len() > 1 && key.starts_with('/') && key.ends_with('/'))
    });
    let selector = prop_oneof![key.prop_map(Selector::Key), text().prop_map(Selector::Regex)];
    let name = prop_oneof![Just("ARGS".to_owned()), name()]
        .prop_filter("its selectors are paths", |name| !name.eq_ignore_ascii_case("XML"));
    (any::<bool>(), any::<bool>(), name, proptest::option::of(selector)).prop_map(
        |(excluded, count, name, selector)| Target {
            excluded,
            count,
            name: at(name),
            selector: selector.map(at),
            span: nowhere(),
        },
    )
}

fn operator() -> impl Strategy<Value = Operator> {
    (any::<bool>(), proptest::option::of(name()), text()).prop_filter_map(
        "would read as something else",
        |(negated, name, argument)| {
            let implicit = name.is_none();
            let argument = argument.trim_start_matches(' ').to_owned();
            if implicit && argument.starts_with(['@', '!']) {
                return None;
            }
            let name = at(name.unwrap_or_else(|| "rx".to_owned()));
            Some(Operator { negated, name, implicit, argument: at(argument), span: nowhere() })
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    (name(), proptest::option::of(text())).prop_map(|(name, value)| Action {
        name: at(name),
        value: value.map(at),
        span: nowhere(),
    })
}

fn statement() -> impl Strategy<Value = Statement> {
    let actions = || proptest::collection::vec(action(), 0..5);
    let statement_of = |actions| ActionStatement { actions, span: nowhere() };
    let plain: Vec<_> = DIRECTIVES
        .iter()
        .filter(|row| row.arity == (1, 1) && row.status == portcullis::dialect::Status::Implemented)
        .map(|row| row.name)
        .filter(|name| {
            !matches!(*name, "Include" | "IncludeOptional" | "SecAction" | "SecDefaultAction" | "SecMarker")
        })
        .collect();
    prop_oneof![
        (proptest::collection::vec(target(), 1..5), operator(), actions()).prop_map(
            |(targets, operator, actions)| Statement::Rule(Rule {
                targets,
                operator,
                actions,
                span: nowhere()
            })
        ),
        actions().prop_map(move |a| Statement::Action(statement_of(a))),
        actions().prop_map(move |a| Statement::DefaultAction(statement_of(a))),
        text().prop_map(|name| Statement::Marker(at(name), nowhere())),
        (proptest::sample::select(plain), text()).prop_map(|(name, argument)| Statement::Directive(
            Directive { name: at(name), arguments: vec![at(argument)], span: nowhere() }
        )),
    ]
}
