//! What values made of the same classes of bytes have in common when they are sieved: which transformations can
//! change them, and which rules their bytes cannot meet.

use super::classes::{ALL_CLASSES, ALPHABETS, ClassMask, any_case, class_of};
use super::sieve::{Group, Node};
use super::told::Told;
use arc_swap::{ArcSwap, Guard};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The plans made so far for a group. Bounded: a mixture of bytes takes the place of another that falls on the same
/// set of slots. Much is noise, such as what transformations make of values: a mixture gets a plan when it comes again and
/// again, and until then goes without one, or with that for its whole alphabet, of which there are few.
pub struct Plans {
    known: ArcSwap<Known>,
    /// For each set of slots, of values as they came, and of what became of values, among which there is more noise.
    misses: [Box<[Misses]>; 2],
}

/// The plans that a group has had at some time: those who sieve take one such look for all of a group's values.
#[derive(Clone)]
pub struct Known(Box<[Arc<Slots>]>);

#[derive(Clone, Default)]
struct Slots {
    /// For each slot the node and the mixture whose plan stands there.
    keys: [u64; WAYS],
    plans: [Option<Arc<Plan>>; WAYS],
    /// Which slot the next plan takes.
    next: usize,
}

/// What came by last and had no plan.
#[derive(Default)]
struct Misses {
    /// The node and the mixture.
    key: AtomicU64,
    /// How often, one time after the other.
    times: AtomicUsize,
}

/// A plan: a known one, or one that has just been made.
pub enum Found<'k> {
    /// It was known.
    Known(&'k Plan),
    /// It is new.
    New(Arc<Plan>),
}

impl Deref for Found<'_> {
    type Target = Plan;

    #[inline(always)]
    fn deref(&self) -> &Plan {
        match self {
            Found::Known(plan) => plan,
            Found::New(plan) => plan,
        }
    }
}

/// How to sieve a value that stands at a node of the group's tree of views.
#[derive(Debug)]
pub struct Plan {
    /// Which of the group's prefilters speaks of values of these classes.
    pub alphabet: u8,
    /// The rules that see the value as it is here and may match it, going by its bytes.
    pub here: Box<[u64]>,
    /// Those of them whose literals have to be looked for.
    pub sought: Box<[u64]>,
    /// For each list the rules for which its bytes have met it.
    pub met: Box<[u64]>,
    /// What else the value may look like.
    pub children: Box<[Branch]>,
    /// The rules that see the value, or what becomes of it.
    pub reach: Box<[u64]>,
    /// Those of them whose echo in the value tells whether they can match, whatever becomes of it.
    pub told: Box<[u64]>,
}

/// A transformation that can change the value.
#[derive(Debug)]
pub struct Branch {
    /// Where the result stands.
    pub node: u16,
    /// The transformation, as a position in the ruleset's list of steps.
    pub column: u8,
    /// What the length of the value says about the result's.
    pub length: Length,
    /// Those of `guards` that see the result only, and whose echo tells of it in the value.
    pub echoed: Box<[u64]>,
    /// The rules that see the result or what becomes of it, and may match that as far as can be told beforehand.
    pub guards: Box<[u64]>,
}

/// How long what becomes of a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Not longer than the value.
    Kept,
    /// Not longer than the transformation says.
    Shrunk,
    /// Any length.
    Any,
}

impl Plans {
    /// The plans that there are now.
    pub fn known(&self) -> Guard<Arc<Known>> {
        self.known.load()
    }

    /// The plan for values of these classes at `node`; nothing for what is noise so far.
    #[inline(always)]
    pub fn get<'k>(&self, known: &'k Known, group: &Group, node: u16, mask: ClassMask) -> Option<Found<'k>> {
        let key = key(node, mask);
        known.get(key).map(Found::Known).or_else(|| self.make(group, node, mask & ALL_CLASSES, key))
    }

    /// The plan for values of these classes at `node`, or, for noise, that for all values of their alphabet.
    pub fn get_or_wider<'k>(
        &self,
        known: &'k Known,
        group: &Group,
        node: u16,
        mask: ClassMask,
    ) -> Option<Found<'k>> {
        self.get(known, group, node, mask).or_else(|| self.of_alphabet(known, group, node, mask))
    }

    /// The plan for all values at `node` of the alphabet of those classes.
    pub fn of_alphabet<'k>(
        &self,
        known: &'k Known,
        group: &Group,
        node: u16,
        mask: ClassMask,
    ) -> Option<Found<'k>> {
        self.get(known, group, node, ALPHABETS[usize::from(Group::alphabet(mask))])
    }

    /// Makes the plan for values of these classes at `node`, unless they are noise, or another has made it.
    fn make<'k>(&self, group: &Group, node: u16, mask: ClassMask, key: u64) -> Option<Found<'k>> {
        let is_noise = ALPHABETS[usize::from(Group::alphabet(mask))] != mask;
        let (misses, often) = if node == ROOT { (0, OFTEN_AT_ROOT) } else { (1, OFTEN) };
        if is_noise && self.misses[misses][set(key)].are_less(often, key) {
            return None;
        }
        if let Some(plan) = self.known.load().slot(key) {
            return Some(Found::New(Arc::clone(plan)));
        }
        let plan = Arc::new(Plan::new(group, node, mask));
        self.known.rcu(|known| {
            let mut known = Known::clone(known);
            let slots = Arc::make_mut(&mut known.0[set(key)]);
            slots.keys[slots.next] = key;
            slots.plans[slots.next] = Some(Arc::clone(&plan));
            slots.next = (slots.next + 1) % WAYS;
            known
        });
        Some(Found::New(plan))
    }
}

impl Known {
    #[inline(always)]
    fn get(&self, key: u64) -> Option<&Plan> {
        self.slot(key).map(|plan| &**plan)
    }

    #[inline(always)]
    fn slot(&self, key: u64) -> Option<&Arc<Plan>> {
        let slots = &*self.0[set(key)];
        slots.keys.iter().zip(&slots.plans).find(|(known, _)| **known == key)?.1.as_ref()
    }
}

impl Misses {
    /// Whether `key`, which has no plan, has come less often. One value is asked about several times.
    fn are_less(&self, often: usize, key: u64) -> bool {
        if self.key.load(Ordering::Relaxed) != key {
            self.key.store(key, Ordering::Relaxed);
            self.times.store(0, Ordering::Relaxed);
        }
        self.times.fetch_add(1, Ordering::Relaxed) < often
    }
}

/// A number for a node and a mixture, never 0: classes take 44 bits.
#[inline(always)]
fn key(node: u16, mask: ClassMask) -> u64 {
    mask & ALL_CLASSES | u64::from(node) << 48 | 1 << 47
}

/// Which set of slots a key falls on.
#[inline(always)]
fn set(key: u64) -> usize {
    let mixed = (key ^ key >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - SET_BITS)) as usize
}

impl Default for Plans {
    fn default() -> Self {
        let none = Arc::<Slots>::default();
        let known = Known((0..1 << SET_BITS).map(|_| Arc::clone(&none)).collect());
        Self {
            known: ArcSwap::from_pointee(known),
            misses: std::array::from_fn(|_| (0..1 << SET_BITS).map(|_| Misses::default()).collect()),
        }
    }
}

impl std::fmt::Debug for Plans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plans")
    }
}

impl Plan {
    /// The plan for values of these classes at `node`.
    pub fn new(group: &Group, node: u16, mask: ClassMask) -> Self {
        let alphabet = Group::alphabet(mask);
        let prefilter = &group.prefilters[usize::from(alphabet)];
        let words = group.words();
        let mut told = Told::default();
        let mut here = vec![0; words];
        let mut children = Vec::new();
        let mut same = vec![node];
        while let Some(node) = same.pop() {
            let at = &group.nodes[usize::from(node)];
            unite(&mut here, &at.here);
            for &child in &at.children {
                let step = &group.nodes[usize::from(child)];
                if !step.may_change(mask) {
                    same.push(child);
                    continue;
                }
                let mut guards = vec![0; group.words()];
                reach(group, step, step.present(mask), &mut told, &mut guards);
                if guards.iter().any(|word| *word != 0) {
                    children.push(Branch {
                        node: child,
                        column: step.column,
                        length: step.length,
                        echoed: echoed(group, child, mask, &mut told).into(),
                        guards: guards.into(),
                    });
                }
            }
        }
        let (permitted, met) = told.of(group, mask).split_at(words);
        here.iter_mut().zip(permitted).for_each(|(here, permitted)| *here &= permitted);
        let mut sought = here.clone();
        for (word, sought) in sought.iter_mut().enumerate() {
            *sought &= !met.iter().skip(word).step_by(words).fold(u64::MAX, |all, met| all & met);
        }
        let mut reach = here.clone();
        let met: Box<[u64]> = met.into();
        let mut told = prefilter.echoed(&met);
        for (told, here) in told.iter_mut().zip(&here) {
            *told |= !here;
        }
        for branch in &children {
            unite(&mut reach, &branch.guards);
            for ((told, guards), echoed) in told.iter_mut().zip(&branch.guards).zip(&branch.echoed) {
                *told &= !guards | echoed;
            }
        }
        for (told, reach) in told.iter_mut().zip(&reach) {
            *told &= reach;
        }
        Plan {
            alphabet,
            here: here.into(),
            sought: sought.into(),
            met,
            children: children.into(),
            reach: reach.into(),
            told: told.into(),
        }
    }
}

/// The rules that see what stands at `node` and nothing that becomes of it, when the value one step before is made of the
/// classes in `mask`, and of which that value tells whether they can match: see
/// [`Echo`](super::prefilter::Echo).
fn echoed(group: &Group, node: u16, mask: ClassMask, told: &mut Told) -> Vec<u64> {
    let nothing = vec![0; group.words()];
    let at = &group.nodes[usize::from(node)];
    let alphabet = Group::alphabet(mask);
    // Such a step adds nothing but spaces.
    let present = any_case(mask | 1 << class_of(b' '));
    let is_kept = at.breaks_runs.is_some_and(|breaks| mask & breaks == 0);
    if !is_kept || present & !ALPHABETS[usize::from(alphabet)] != 0 {
        return nothing;
    }
    let (mut here, mut behind) = (nothing.clone(), nothing);
    let mut same = vec![node];
    while let Some(node) = same.pop() {
        let at = &group.nodes[usize::from(node)];
        unite(&mut here, &at.here);
        for &child in &at.children {
            let step = &group.nodes[usize::from(child)];
            if step.may_change(present) {
                reach(group, step, ALL_CLASSES, told, &mut behind);
            } else {
                same.push(child);
            }
        }
    }
    let (_, met) = told.of(group, present).split_at(group.words());
    let told = group.prefilters[usize::from(alphabet)].echoed(met);
    for ((here, behind), told) in here.iter_mut().zip(&behind).zip(&told) {
        *here &= told & !behind;
    }
    here
}

/// Adds the rules that may match what stands at `node` or what becomes of it, when it is made of the classes in
/// `present`.
fn reach(group: &Group, node: &Node, present: ClassMask, told: &mut Told, out: &mut [u64]) {
    if present == ALL_CLASSES {
        unite(out, &node.here);
    } else {
        for ((out, here), permitted) in out.iter_mut().zip(&node.here).zip(told.of(group, present)) {
            *out |= here & permitted;
        }
    }
    for &child in &node.children {
        let child = &group.nodes[usize::from(child)];
        let after = if child.may_change(present) { child.present(present) } else { present };
        reach(group, child, after, told, out);
    }
}

impl Node {
    /// Whether the step to this node can change a value of these classes.
    pub fn may_change(&self, mask: ClassMask) -> bool {
        self.trigger.is_none_or(|trigger| mask & trigger != 0)
    }

    /// The classes that the result for a value of these classes may have.
    fn present(&self, mask: ClassMask) -> ClassMask {
        self.adds.map_or(ALL_CLASSES, |adds| any_case(mask | adds))
    }
}

/// The node of values as they came.
pub const ROOT: u16 = 0;
/// Sets of slots for the plans of a group are two to the power of this: values come with few mixtures of bytes.
const SET_BITS: u32 = 8;
/// How often noise has to come to get a plan of its own.
const OFTEN: usize = 8;
/// The same for values as they came.
const OFTEN_AT_ROOT: usize = 3;
/// Slots of a set.
const WAYS: usize = 4;

/// Adds what is in `more`.
pub fn unite(all: &mut [u64], more: &[u64]) {
    for (all, more) in all.iter_mut().zip(more) {
        *all |= more;
    }
}
