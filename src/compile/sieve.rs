//! Rules of a phase → groups that are sieved together.

use super::prefilter::{ConditionId, Conditioned};
use crate::operator::Wanted;
use crate::ruleset::classes::{ALPHABETS, ClassMask, any_case, class_of, mask_of_set};
use crate::ruleset::plan::{Length, Plans, unite};
use crate::ruleset::prefilter::{Condition, Prefilter};
use crate::ruleset::{
    ALWAYS, Behind, Chain, Changing, Comparison, FEW_NODES, Flow, Gate, Group, GroupTarget, Guard, Lane,
    Matcher, Node, Operand, Phase, Rule, RuleIndex, Scan, Step, Target,
};
use crate::transform::{Marks, TransformId};
use crate::variable::Variable;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What groups are made from.
pub(super) struct Sieves<'a> {
    pub(super) rules: &'a [Rule],
    pub(super) lanes: &'a [Lane],
    pub(super) chains: &'a [Chain],
    pub(super) steps: &'a [Step],
    pub(super) conditions: &'a [Conditioned],
    /// Whether any rule may look at what the one before it matched.
    pub(super) looks_back: bool,
    /// For each rule, the condition of its operator.
    pub(super) condition_of: &'a [Option<ConditionId>],
}

/// A comparison whose rule jumps over others.
type JumpKind = (Comparison, bool);

/// Which comparisons jump over a rule, and which one its chain begins with. Rules that agree in both are sieved together.
type Circumstance = (BTreeSet<usize>, Option<Comparison>);

impl Sieves<'_> {
    /// Phase `number`, of these rules.
    pub(super) fn phase(&self, number: u8, rules: Vec<RuleIndex>) -> Phase {
        let mut members: BTreeMap<Circumstance, Vec<usize>> = BTreeMap::new();
        let gates = self.gates(&rules);
        for (position, index) in rules.iter().enumerate() {
            if self.guarded(*index).is_some() {
                let over: BTreeSet<usize> =
                    gates.iter().filter(|g| g.over.contains(&position)).map(|g| g.kind).collect();
                members.entry((over, self.begins_with(*index))).or_default().push(position);
            }
        }
        let mut guards = vec![None; rules.len()];
        let mut groups = Vec::new();
        // Rules beyond what numbers can tell are evaluated whatever the values are.
        for ((_, only), positions) in members.into_iter().take(MAX_GROUPS) {
            let positions: Vec<usize> = positions.into_iter().take(MAX_GUARDS).collect();
            for (number, position) in positions.iter().enumerate() {
                let Some(guarded) = self.guarded(rules[*position]) else { continue };
                let (group, number) = (groups.len() as u8, number as u16);
                let negated = guarded.scan.negated && guarded.condition.is_some();
                guards[*position] = Some(Guard { group, number, link: guarded.link, negated });
            }
            let id = u32::from(number) << 8 | groups.len() as u32;
            groups.push(Group { only, ..self.group(id, &rules, &positions) });
        }
        let gates = rules.iter().enumerate().map(|(position, index)| self.gate(position, *index)).collect();
        Phase { rules: rules.into(), gates, guards: guards.into(), groups: groups.into() }
    }

    /// The rule at `position`, if it does nothing but jump and nobody could tell what it matched.
    fn gate(&self, position: usize, index: RuleIndex) -> Option<Gate> {
        let rule = &self.rules[index.0 as usize];
        let (asks, false) = comparison(rule)? else { return None };
        let to = match rule.flow? {
            Flow::SkipTo(to) => to,
            Flow::Skip(n) => position as u32 + 1 + n,
        };
        (rule.is_quiet() && !self.looks_back).then_some(Gate { asks, to })
    }

    /// The comparison that a chain begins with, if the chain is guarded by a later link: a paranoia level as a rule.
    /// Where it does not hold, the rule matches nothing, whatever the values are.
    fn begins_with(&self, index: RuleIndex) -> Option<Comparison> {
        let (asks, false) = comparison(&self.rules[index.0 as usize])? else { return None };
        Some(asks)
    }

    /// The comparisons that jump over rules, each kind numbered.
    fn gates(&self, rules: &[RuleIndex]) -> Vec<Jump> {
        let mut kinds: HashMap<JumpKind, usize> = HashMap::new();
        let mut jumps = Vec::new();
        for (position, index) in rules.iter().enumerate() {
            let rule = &self.rules[index.0 as usize];
            let to = match rule.flow {
                Some(Flow::SkipTo(to)) => to as usize,
                Some(Flow::Skip(n)) => position + 1 + n as usize,
                None => continue,
            };
            let Some(asked) = comparison(rule) else { continue };
            if rule.next.is_none() {
                let new = kinds.len();
                let kind = *kinds.entry(asked).or_insert(new);
                jumps.push(Jump { kind, over: position + 1..to });
            }
        }
        jumps
    }

    /// The link of a rule that a group may decide about: the first whose operator says what it needs, or else the
    /// first. Links before it must leave nothing behind when they match, since they are not evaluated when it cannot.
    fn guarded(&self, index: RuleIndex) -> Option<Guarded<'_>> {
        let mut first = None;
        let mut next = Some(index);
        for link in 0..MAX_LINKS {
            let Some(at) = next else { break };
            let rule = &self.rules[at.0 as usize];
            if let Matcher::Scan(scan) = &rule.matcher
                && self.is_decidable(scan)
            {
                let ConditionId(condition) =
                    (*self.condition_of.get(at.0 as usize)?).unwrap_or(ConditionId::NONE);
                // Of negated operators, only what is found by literals is worth to be told beforehand: most of the
                // others match nearly all values.
                let told = !scan.negated || scan.operator.literals().is_some();
                let condition = self.conditions.get(condition as usize).filter(|_| told);
                let guarded = Guarded { scan, condition, link };
                if condition.is_some() {
                    return Some(guarded);
                }
                first.get_or_insert(guarded);
            }
            let traceless = rule.set.is_empty()
                && rule.sanitise.is_empty()
                && match &rule.matcher {
                    Matcher::Scan(scan) => scan.capture == Wanted::Nothing && !scan.operator.backtracks(),
                    Matcher::Slot { .. } | Matcher::Always => true,
                };
            if !traceless {
                break;
            }
            next = rule.next;
        }
        first
    }

    fn is_decidable(&self, scan: &Scan) -> bool {
        let lane = &self.lanes[usize::from(scan.lane.0)];
        // Files are long and no text: patterns that begin at their first byte give up sooner than a sieve does.
        let is_value = |t: &Target| t.id.is_some() && !t.count && t.variable != Variable::FilesTmpContent;
        let known = lane.targets.included.iter().all(is_value);
        known && !lane.volatile && scan.argument.is_none() && scan.operator.is_pure()
    }

    fn group(&self, id: u32, rules: &[RuleIndex], positions: &[usize]) -> Group {
        let words = positions.len().div_ceil(64);
        let mut conditions = Vec::new();
        let mut targets: Vec<GroupTarget> = Vec::new();
        let mut by_target: HashMap<_, usize> = HashMap::new();
        let mut tree = Tree::new(words);
        let mut operators = vec![None; positions.len()];
        // Rules that would be asked about every step of a chain.
        let mut each_step = vec![0; words];
        let mut members = vec![0; rules.len().div_ceil(64)];
        for (number, position) in positions.iter().enumerate() {
            let Some(Guarded { scan, condition, .. }) = self.guarded(rules[*position]) else { continue };
            let (word, bit) = (number >> 6, 1 << (number & 63));
            if !scan.negated || condition.is_none() {
                members[position >> 6] |= 1 << (position & 63);
            }
            conditions.push(condition);
            let lane = &self.lanes[usize::from(scan.lane.0)];
            for target in &lane.targets.included {
                let at = *by_target.entry(target.id).or_insert_with(|| {
                    targets.push(GroupTarget { target: plain(target), guards: vec![0; words].into() });
                    targets.len() - 1
                });
                targets[at].guards[word] |= bit;
            }
            if condition.is_none() {
                // Whatever a value looks like, nothing can be told from it.
                tree.nodes[0].here[word] |= bit;
                continue;
            }
            let chain = &self.chains[usize::from(scan.steps.unwrap_or(lane.chain).0)].0;
            if self.is_seen_whole(chain) && condition.is_some_and(|c| c[ALPHABETS.len() - 1].quick) {
                operators[number] = Some(Arc::clone(&scan.operator));
            } else if scan.steps.is_some() {
                each_step[word] |= bit;
            }
            // With multiMatch, every step's result is looked at.
            let from = if scan.steps.is_some() { 0 } else { chain.len() };
            for end in from..=chain.len() {
                let node = tree.node(&self.view(&self.visible(&chain[..end])));
                tree.nodes[usize::from(node)].here[word] |= bit;
            }
        }
        tree.bound(0);
        tree.look_around(&vec![0; words], 0);
        let nodes: Box<[Node]> = tree.nodes.into_iter().map(Branching::into_node).collect();
        Group {
            id,
            only: None,
            prefilters: std::array::from_fn(|alphabet| {
                let of_alphabet: Vec<&Condition> =
                    conditions.iter().map(|c| c.map_or(&Condition::ALWAYS, |c| &c[alphabet])).collect();
                Prefilter::new(&of_alphabet).with_slow(&each_step)
            }),
            positions: positions.iter().map(|p| *p as u32).collect(),
            members: members.into(),
            targets: targets.into(),
            changes: changes(&nodes),
            nodes,
            operators: operators.into(),
            plans: Plans::default(),
        }
    }

    /// A chain without the steps that prefilters do not see.
    fn visible(&self, chain: &[u8]) -> Vec<u8> {
        let mut seen = Vec::new();
        let mut blind = true;
        for &column in chain.iter().rev() {
            let transform = self.steps[usize::from(column)].transform;
            if blind && transform.changes_case_only() {
                continue;
            }
            seen.push(column);
            blind &= transform.ignores_case();
        }
        seen.reverse();
        seen
    }

    /// Whether a tree has values after a chain as the chain leaves them: where it does not take a step, that would change
    /// nothing at all.
    fn is_seen_whole(&self, chain: &[u8]) -> bool {
        chain.iter().all(|&column| {
            let transform = self.steps[usize::from(column)].transform;
            !transform.changes_case_only() && !transform.only_lowers() && transform.concerns().is_none()
        })
    }

    /// The steps of a chain, each with what is known of it in its place.
    fn view(&self, steps: &[u8]) -> Vec<ViewStep> {
        let (mut blind, mut fills) = (true, false);
        let mut view: Vec<ViewStep> = Vec::new();
        for &column in steps.iter().rev() {
            let Step { transform, trigger, .. } = self.steps[usize::from(column)];
            // Prefilters do not see that letters become lower case, where nothing after it minds.
            let trigger =
                if blind && transform.only_lowers() { trigger.map(|t| t & !UPPER_CASE) } else { trigger };
            blind &= transform.ignores_case();
            let (trigger, wakes) = match transform.concerns() {
                // That a value becomes empty is of consequence where more is made of that.
                Some(_) if fills => (trigger, None),
                Some(bytes) => (Some(mask_of_set(&bytes)), transform.wakes()),
                None => (trigger, transform.wakes()),
            };
            fills |= transform.fills_empty();
            view.push(ViewStep { column, trigger, wakes, transform });
        }
        view.reverse();
        view
    }
}

/// What a group may know of a rule.
struct Guarded<'a> {
    scan: &'a Scan,
    condition: Option<&'a Conditioned>,
    link: u8,
}

/// One step of a chain of transformations.
struct ViewStep {
    column: u8,
    trigger: Option<ClassMask>,
    wakes: Option<Marks>,
    transform: TransformId,
}

/// A tree of views in the making.
struct Tree {
    nodes: Vec<Branching>,
    words: usize,
}

/// A [`Node`] in the making.
struct Branching {
    column: u8,
    trigger: Option<ClassMask>,
    wakes: Option<Marks>,
    transform: Option<TransformId>,
    length: Length,
    path: Vec<u8>,
    here: Vec<u64>,
    children: Vec<u16>,
    reach: Vec<u64>,
    reach_alone: Vec<u64>,
    subtree: u64,
    behind: Behind,
}

impl Tree {
    fn new(words: usize) -> Self {
        let root = Branching {
            column: 0,
            trigger: None,
            wakes: None,
            transform: None,
            length: Length::Kept,
            path: Vec::new(),
            here: vec![0; words],
            children: Vec::new(),
            reach: Vec::new(),
            reach_alone: Vec::new(),
            subtree: 0,
            behind: Behind::default(),
        };
        Self { nodes: vec![root], words }
    }

    /// The node at the end of a view, made if need be.
    fn node(&mut self, view: &[ViewStep]) -> u16 {
        let mut at = 0;
        for step in view {
            let known = self.nodes[usize::from(at)].children.iter().copied().find(|child| {
                let child = &self.nodes[usize::from(*child)];
                child.column == step.column && child.trigger == step.trigger
            });
            at = known.unwrap_or_else(|| self.add(at, step));
        }
        at
    }

    fn add(&mut self, parent: u16, step: &ViewStep) -> u16 {
        let new = self.nodes.len() as u16;
        let mut path = self.nodes[usize::from(parent)].path.clone();
        path.push(step.column);
        let length = match step.transform.longest(PROBE) {
            Some(PROBE) => Length::Kept,
            Some(_) => Length::Shrunk,
            None => Length::Any,
        };
        self.nodes.push(Branching {
            column: step.column,
            trigger: step.trigger,
            wakes: step.wakes,
            transform: Some(step.transform),
            length,
            path,
            here: vec![0; self.words],
            children: Vec::new(),
            reach: Vec::new(),
            reach_alone: Vec::new(),
            subtree: 0,
            behind: Behind::default(),
        });
        self.nodes[usize::from(parent)].children.push(new);
        new
    }

    /// Lets the nodes from `at` on say which rules look nowhere else, when those in `elsewhere` do.
    fn look_around(&mut self, elsewhere: &[u64], at: u16) {
        let node = &mut self.nodes[usize::from(at)];
        node.reach_alone =
            node.reach.iter().zip(elsewhere).map(|(reach, elsewhere)| reach & !elsewhere).collect();
        let mut around = elsewhere.to_vec();
        unite(&mut around, &node.here);
        let children = node.children.clone();
        for &child in &children {
            let mut elsewhere = around.clone();
            for &other in children.iter().filter(|other| **other != child) {
                unite(&mut elsewhere, &self.nodes[usize::from(other)].reach);
            }
            self.look_around(&elsewhere, child);
        }
        let behind = children.iter().fold(0, |all, child| all | self.nodes[usize::from(*child)].subtree);
        self.nodes[usize::from(at)].subtree = 1_u64.checked_shl(u32::from(at)).unwrap_or(0) | behind;
    }

    /// Lets nodes say what is true of all that becomes of a value behind them.
    fn bound(&mut self, at: u16) -> bool {
        let mut bounded = self.nodes[usize::from(at)].length != Length::Any;
        let mut reach = self.nodes[usize::from(at)].here.clone();
        let mut behind = Behind { wild: vec![0; self.words].into(), ..Behind::default() };
        for child in self.nodes[usize::from(at)].children.clone() {
            bounded &= self.bound(child);
            let child = &self.nodes[usize::from(child)];
            unite(&mut reach, &child.reach);
            let trigger = child.trigger.unwrap_or(ALWAYS);
            behind.triggers |= trigger | child.behind.triggers;
            // What is behind a step comes to pass as well where the step changes nothing.
            behind.adds |= child.behind.adds;
            behind.wild_trigger |= child.behind.wild_trigger;
            match child.adds() {
                Some(adds) => {
                    behind.adds |= adds;
                    unite(&mut behind.wild, &child.behind.wild);
                }
                None => {
                    behind.wild_trigger |= trigger;
                    unite(&mut behind.wild, &child.reach);
                }
            }
        }
        self.nodes[usize::from(at)].reach = reach;
        self.nodes[usize::from(at)].behind = behind;
        if !bounded {
            self.nodes[usize::from(at)].length = Length::Any;
        }
        bounded
    }
}

impl Branching {
    /// The classes that the step's result may have beside those of the value.
    fn adds(&self) -> Option<ClassMask> {
        self.transform.and_then(TransformId::adds).map(|set| any_case(mask_of_set(&set)))
    }

    fn into_node(self) -> Node {
        Node {
            column: self.column,
            trigger: self.trigger,
            adds: self.adds(),
            wakes: self.wakes,
            reach_alone: self.reach_alone.into(),
            subtree: self.subtree,
            behind: self.behind,
            length: self.length,
            made: self.transform.and_then(TransformId::made).map(|(made, bytes)| (made, mask_of_set(&bytes))),
            omits: self.transform.and_then(TransformId::omits),
            breaks_runs: self.transform.and_then(TransformId::breaks_runs).map(|set| mask_of_set(&set)),
            transform: self.transform,
            path: self.path.into(),
            here: self.here.into(),
            children: self.children.into(),
            reach: self.reach.into(),
        }
    }
}

/// What makes the steps of a tree change a value.
fn changes(nodes: &[Node]) -> Box<[Changing]> {
    let mut all: Vec<Changing> = Vec::new();
    if nodes.len() > FEW_NODES {
        return all.into();
    }
    for (at, node) in nodes.iter().enumerate().skip(1) {
        let (trigger, wakes) = (node.trigger.unwrap_or(ALWAYS), node.wakes.unwrap_or(Marks::ALL));
        let known = all.iter_mut().find(|known| (known.trigger, known.wakes) == (trigger, wakes));
        match known {
            Some(known) => known.nodes |= 1 << at,
            None => all.push(Changing { trigger, wakes, nodes: 1 << at }),
        }
    }
    all.into()
}

/// A length by which transformations show whether they keep lengths.
const PROBE: usize = 1_000;

/// Links of a chain that are considered.
const MAX_LINKS: u8 = 8;

/// The class of upper-case letters.
const UPPER_CASE: ClassMask = 1 << class_of(b'A');

/// The comparison that is the whole of a link, and whether it is one of counts.
fn comparison(rule: &Rule) -> Option<JumpKind> {
    match rule.matcher {
        Matcher::Slot { slot, count, compare, operand: Operand::Number(number), negated } => {
            Some((Comparison { slot, compare, number, negated }, count))
        }
        _ => None,
    }
}

/// A jump: which comparison, over which positions.
struct Jump {
    kind: usize,
    over: std::ops::Range<usize>,
}

/// The target without `&`, under whose number its values are kept.
fn plain(target: &Target) -> Target {
    Target { count: false, ..target.clone() }
}

/// Groups of a phase.
const MAX_GROUPS: usize = 64;
/// Rules of a group.
const MAX_GUARDS: usize = u16::MAX as usize;
