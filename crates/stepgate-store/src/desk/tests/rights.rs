//! Approvals by a right that is taken, or ends, and is given back: they are none any more, in the running gate and in one that
//! is rebuilt from the log.

use super::*;
use crate::{Account, Loan, Presented, Said, Source, TwoPerson};

const HOUR: Duration = Duration::from_secs(3600);
const LONG: Duration = Duration::from_secs(48 * 3600);
const WAITS: &str = "select * from customers where id = 4";
const POLICY: &str = "ab";

/// What happens to the rights of who has approved.
type Step = fn(&World);

/// Dana waits for two of data-owners for long; `voter` has approved it, and a policy where they may.
async fn half_approved(given: Step, voter: &str) -> (World, RequestId) {
    let world = World::with(true).await;
    given(&world);
    two_people(&world);
    world.desk.propose_policy(POLICY).await.unwrap();
    world.clock.advance(HOUR);
    let mut ask = Ask { mode: Mode::HoldThenDefer, ..world.approval("dana", 4, 2) };
    ask.expires = world.clock.now().plus(LONG);
    let waits = world.desk.defer(ask, held(WAITS)).await.unwrap().request;
    world.desk.vote(waits, &name(voter), &world.code(voter), true, None, HOME).await.unwrap();
    world.next_step();
    let code = Presented::code(&world.code(voter));
    let _of_who_may = world.desk.approve_policy(POLICY, &name(voter), code, HOME.into()).await;
    world.next_step();
    (world, waits)
}

fn two_people(world: &World) {
    let groups = groups(&["data-owners"]).into_iter().collect();
    world.desk.set_two_person(Some(TwoPerson { groups, strength: Strength::Standard }));
}

/// Of the request and of the policy, whether amir's approval is the second.
async fn amir_is_second(world: &World, waits: RequestId) -> (bool, bool) {
    two_people(world);
    let vote = world.desk.vote(waits, &name("amir"), &world.code("amir"), true, None, HOME).await.unwrap();
    world.next_step();
    let code = Presented::code(&world.code("amir"));
    let policy = world.desk.approve_policy(POLICY, &name("amir"), code, HOME.into()).await.unwrap();
    (vote.ended.is_some(), policy.state == "approved")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn nothing(_: &World) {}

fn set(world: &World, person: &str, names: &[&str]) {
    block_on(world.people.set_groups(&name(person), groups(names), None)).unwrap();
}

fn supply(world: &World, names: &[&str], life: Duration) {
    let (source, issuer) = (Source::Oidc, "https://idp.example".to_owned());
    if world.people.accounts(&name("eve")).is_empty() {
        let account = Account { source, issuer, subject: "1".to_owned() };
        block_on(world.people.link(&name("eve"), account, None)).unwrap();
    }
    let groups = groups(names).into_iter().collect();
    let said = Said { source, groups, left_out: 0, until: world.clock.now().plus(life) };
    block_on(world.people.supply(&name("eve"), said)).unwrap();
}

fn lend(world: &World, names: &[&str], life: Duration) {
    let now = world.clock.now();
    let groups = groups(names).into_iter().collect();
    let (from_us, until_us) = (now.micros(), now.plus(life).micros());
    let loan = Loan { to: name("eve"), groups, from_us, until_us };
    block_on(world.people.lend(&name("omar"), loan, None)).unwrap();
}

fn owner(world: &World) {
    supply(world, &["data-owners"], HOUR * 12);
}

fn lent(world: &World) {
    lend(world, &["data-owners"], HOUR * 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_by_a_right_that_was_taken_or_has_ended_is_none_though_it_was_given_back() {
    let cases: [(&str, Step, &str, Step, Step); 9] = [
        (
            "groups",
            nothing,
            "omar",
            |it| set(it, "omar", &["analysts"]),
            |it| set(it, "omar", &["analysts", "data-owners"]),
        ),
        ("supplied", owner, "eve", |it| supply(it, &[], HOUR), owner),
        ("supplied, over", owner, "eve", |it| it.clock.advance(HOUR * 12), owner),
        (
            "unlinked",
            owner,
            "eve",
            |it| block_on(it.people.unlink(&name("eve"), Source::Oidc, None)).unwrap(),
            owner,
        ),
        (
            "configured no longer",
            owner,
            "eve",
            |it| drop(block_on(it.people.retain_supplied(Source::Oidc, |_| false)).unwrap()),
            owner,
        ),
        ("lent", lent, "eve", |it| lend(it, &[], HOUR), lent),
        ("lent, over", lent, "eve", |it| it.clock.advance(HOUR * 12), lent),
        ("the lender's", lent, "eve", |it| set(it, "omar", &[]), |it| set(it, "omar", &["data-owners"])),
        ("of another lender", lent, "eve", |it| lend(it, &[], HOUR), |it| set(it, "eve", &["data-owners"])),
    ];
    for (what, given, voter, take, give) in cases {
        for (killed, looked) in [(false, false), (false, true), (true, false), (true, true)] {
            let (world, waits) = half_approved(given, voter).await;
            assert_eq!(world.desk.request(waits).unwrap().approvers, [name(voter)], "{what}");
            take(&world);
            world.clock.advance(Duration::from_secs(1));
            if looked {
                world.desk.expire_due().await.unwrap();
                assert_eq!(world.desk.request(waits).unwrap().approvers, [], "{what}");
            }
            give(&world);
            world.next_step();
            let world = if killed { world.killed() } else { world };
            assert_eq!(amir_is_second(&world, waits).await, (false, false), "{what}, killed: {killed}");
            // Whoever has the right again may approve it again.
            let code = world.code(voter);
            let again = world.desk.vote(waits, &name(voter), &code, true, None, HOME).await.unwrap();
            assert!(again.ended.is_some(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_none_where_the_clock_was_set_back_before_its_right_was_given_back() {
    for killed in [false, true] {
        let (world, waits) = half_approved(nothing, "omar").await;
        set(&world, "omar", &["analysts"]);
        world.desk.revoke_person(&name("omar"), None).await.unwrap();
        world.clock.set_back(HOUR);
        set(&world, "omar", &["data-owners"]);
        world.clock.advance(HOUR * 2);
        let world = if killed { world.killed() } else { world };
        assert_eq!(amir_is_second(&world, waits).await, (false, false), "killed: {killed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_stays_one_where_its_right_goes_on() {
    let cases: [(&str, Step, &str, Step, bool); 7] = [
        ("more groups", nothing, "omar", |it| set(it, "omar", &["data-owners", "analysts"]), true),
        ("supplied anew", owner, "eve", owner, true),
        ("supplied with more", owner, "eve", |it| supply(it, &["data-owners", "interns"], HOUR), true),
        ("one's own besides, and alone", owner, "eve", |it| set(it, "eve", &["data-owners"]), true),
        ("prolonged", lent, "eve", |it| lend(it, &["data-owners"], HOUR * 24), false),
        ("of the lender's groups another", lent, "eve", |it| set(it, "omar", &["data-owners", "x"]), false),
        (
            "lent to somebody with the right",
            nothing,
            "omar",
            |it| {
                let (from_us, until_us) = (it.clock.now().micros(), it.clock.now().plus(HOUR).micros());
                let groups = groups(&["data-owners"]).into_iter().collect();
                block_on(it.people.lend(
                    &name("amir"),
                    Loan { to: name("omar"), groups, from_us, until_us },
                    None,
                ))
                .unwrap();
            },
            true,
        ),
    ];
    for (what, given, voter, step, policy) in cases {
        for killed in [false, true] {
            let (world, waits) = half_approved(given, voter).await;
            step(&world);
            world.next_step();
            world.desk.expire_due().await.unwrap();
            let world = if killed { world.killed() } else { world };
            assert_eq!(amir_is_second(&world, waits).await, (true, policy), "{what}, killed: {killed}");
        }
    }
}
