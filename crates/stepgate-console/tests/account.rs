//! What happened to somebody's account is on the page that they see first.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use stepgate_record::Record;
use world::{World, name};

/// What a gate does besides: the log's records so far, taken in.
fn follow(world: &World) {
    for stored in world.log.read(0, 10_000) {
        world.desk.account_happens(&Record::decode(&stored.unwrap().bytes).unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_again_reads_what_was_done_to_their_account_and_nobody_else_does() {
    let world = World::new().await;
    world.browser("dana").await;
    world.clock.advance(Duration::from_secs(60));
    world
        .people
        .set_password(&name("dana"), world::PASSWORD, None::<stepgate_types::PersonName>)
        .await
        .unwrap();
    world.clock.advance(Duration::from_secs(60));
    let (dana, eve) = (world.browser("dana").await, world.browser("eve").await);
    follow(&world);
    let page = dana.get(&world, "/").await.body;
    assert!(
        page.contains("Since you were last here") && page.contains("Your password was changed"),
        "{page}"
    );
    assert!(!eve.get(&world, "/").await.body.contains("Your password was changed"));
    // Coming twice does not hide it, and time does.
    world.clock.advance(Duration::from_secs(60));
    let again = world.browser("dana").await;
    follow(&world);
    let page = again.get(&world, "/").await.body;
    assert!(page.contains("Your account in the last days"), "{page}");
    world.clock.advance(Duration::from_secs(8 * 24 * 3600));
    world.browser("dana").await;
    let later = world.browser("dana").await;
    follow(&world);
    assert!(!later.get(&world, "/").await.body.contains("Your password was changed"));
}
